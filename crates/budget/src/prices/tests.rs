use super::*;
use proptest::prelude::*;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn card(text: &str) -> Result<PriceCard, InvalidPrices> {
    PriceCard::from_value(text.parse().unwrap())
}

#[test]
fn e2b_charges_its_published_rates() {
    let card = PriceCard::e2b();
    assert_eq!(card.cost("base", seconds(1)), Usd::from_nanos(30_250));
    assert_eq!(card.cost("base", seconds(60)), Usd::from_nanos(1_815_000));
    assert_eq!(card.cost("base", seconds(86_400)), "2.6136".parse().unwrap());
    let spec = Spec { vcpu: 1, memory_mb: 1024 };
    assert_eq!(card.cost_of(spec, seconds(10)), Usd::from_nanos(185_000));
}

#[test]
fn a_started_second_and_the_minimum_are_paid_whole() {
    let card = card("fee_usd = '0.01'\nminimum_seconds = 5").unwrap();
    let minimum = Usd::from_nanos(10_000_000 + 5 * 30_250);
    assert_eq!(card.cost("x", Duration::ZERO), minimum);
    assert_eq!(card.cost("x", seconds(5)), minimum);
    let six = Usd::from_nanos(10_000_000 + 6 * 30_250);
    assert_eq!(card.cost("x", Duration::from_millis(5001)), six);
    assert_eq!(card.affordable("x", Usd::from_nanos(10_000_000)), Duration::ZERO);
    assert_eq!(card.affordable("x", six), seconds(6));
}

#[test]
fn fractions_of_a_nano_dollar_are_rounded_up() {
    let card = card("vcpu_second_usd = 0\ngib_second_usd = 0.000000001").unwrap();
    let spec = Spec { vcpu: 1, memory_mb: 1 };
    assert_eq!(card.cost_of(spec, seconds(1)), Usd::from_nanos(1));
    assert_eq!(card.cost_of(spec, seconds(1024)), Usd::from_nanos(1));
    assert_eq!(card.cost_of(spec, seconds(1025)), Usd::from_nanos(2));
}

#[test]
fn another_price_or_size_is_another_digest() {
    let texts = [
        "",
        "fee_usd = 1",
        "vcpu_second_usd = 1",
        "gib_second_usd = 1",
        "minimum_seconds = 1",
        "default = { vcpu = 1, memory_mb = 512 }",
        "templates.a = { vcpu = 2, memory_mb = 512 }",
        "templates.b = { vcpu = 2, memory_mb = 512 }",
    ];
    let digests: std::collections::BTreeSet<String> =
        texts.iter().map(|text| card(text).unwrap().digest().to_owned()).collect();
    assert_eq!(digests.len(), texts.len());
    assert_eq!(card("").unwrap(), PriceCard::e2b());
}

#[test]
fn what_no_price_can_be_is_refused_by_key() {
    let table = [
        ("fee = 1", "fee"),
        ("fee_usd = -1", "negative"),
        ("gib_second_usd = 0.0000000001", "9 decimals"),
        ("vcpu_second_usd = 2000", "prices.vcpu_second_usd"),
        ("minimum_seconds = 100000", "prices.minimum_seconds"),
        ("templates.t = { vcpu = 0, memory_mb = 1 }", "prices.templates.t"),
        ("templates.t = { vcpu = 1, memory = 1 }", "memory"),
        ("default = { vcpu = 1, memory_mb = 0 }", "prices.default"),
    ];
    for (text, names) in table {
        let message = card(text).unwrap_err().to_string();
        assert!(message.contains(names), "{text}: {message}");
    }
}

proptest! {
    #[test]
    fn what_is_affordable_is_paid_and_one_second_more_is_not(
        fee in 0_i64..2_000_000_000,
        vcpu_rate in 0_i64..1_000_000,
        gib_rate in 1_i64..1_000_000,
        minimum in 0_u32..100,
        vcpu in 1_u32..64,
        memory_mb in 1_u32..100_000,
        amount in 0_i64..9_000_000_000_000,
    ) {
        let card = PriceCard::of(Prices {
            fee_usd: Usd::from_nanos(fee),
            vcpu_second_usd: Usd::from_nanos(vcpu_rate),
            gib_second_usd: Usd::from_nanos(gib_rate),
            minimum_seconds: minimum,
            default: Spec { vcpu, memory_mb },
            templates: BTreeMap::new(),
        });
        let amount = Usd::from_nanos(amount);
        let time = card.affordable("t", amount);
        if time > Duration::ZERO {
            prop_assert!(card.cost("t", time) <= amount);
        }
        prop_assert!(card.cost("t", time + Duration::from_secs(1)) > amount);
    }
}
