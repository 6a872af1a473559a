//! What a second in a sandbox costs.

use std::collections::BTreeMap;
use std::time::Duration;

use airlock_contract::Usd;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The size of a sandbox, as far as it is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Virtual processors.
    pub vcpu: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
}

/// Prices: a fee a run, and a rate a started second by the sandbox's size.
///
/// Everything is rounded up: to whole seconds, at least the minimum, then to a nano-dollar. So what
/// is reserved for a time is never less than what that time costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceCard {
    prices: Prices,
    digest: String,
}

/// The `[prices]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Prices {
    /// USD a run, whatever it takes.
    fee_usd: Usd,
    /// USD a second and virtual processor.
    vcpu_second_usd: Usd,
    /// USD a second and GiB of memory.
    gib_second_usd: Usd,
    /// Seconds that are paid at least.
    minimum_seconds: u32,
    /// The size of a template that is not listed.
    default: Spec,
    /// The sizes of templates, which are not known before a sandbox is created.
    templates: BTreeMap<String, Spec>,
}

impl Default for Prices {
    /// E2B's published rates and its default template.
    fn default() -> Self {
        Self {
            fee_usd: Usd::ZERO,
            vcpu_second_usd: Usd::from_nanos(14_000),
            gib_second_usd: Usd::from_nanos(4_500),
            minimum_seconds: 0,
            default: Spec { vcpu: 2, memory_mb: 512 },
            templates: BTreeMap::new(),
        }
    }
}

/// Why a `[prices]` table cannot be used; the message names the key.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPrices {
    /// A key is unknown, or a value is of the wrong type.
    #[error("prices: {0}")]
    Shape(String),
    /// A size is zero or beyond what any sandbox has.
    #[error("prices.{key}: vcpu must be 1 to 1024 and memory_mb 1 to 16777216")]
    Size {
        /// The table, such as `templates.base`.
        key: String,
    },
    /// A rate that no sandbox has.
    #[error("prices.{key}: is over 1000 USD")]
    Rate {
        /// The key.
        key: &'static str,
    },
    /// A minimum that no run has.
    #[error("prices.minimum_seconds: is over 86400, a day")]
    Minimum,
}

impl PriceCard {
    /// E2B's published rates: 14,000 nano-USD a vCPU-second, 4,500 a GiB-second; a template that is
    /// not listed has 2 vCPU and 512 MiB, so 30,250 nano-USD a second.
    pub fn e2b() -> Self {
        Self::of(Prices::default())
    }

    /// Reads a `[prices]` table; what it leaves out is E2B's.
    ///
    /// ```
    /// let card = airlock_budget::PriceCard::from_value(toml::toml! {
    ///     fee_usd = 0.001
    ///     minimum_seconds = 10
    ///     [templates.big]
    ///     vcpu = 8
    ///     memory_mb = 8192
    /// }).unwrap();
    /// assert_eq!(card.spec("big").vcpu, 8);
    /// ```
    pub fn from_value(table: toml::Table) -> Result<Self, InvalidPrices> {
        let prices: Prices = table
            .try_into()
            .map_err(|error: toml::de::Error| InvalidPrices::Shape(error.message().to_owned()))?;
        let most = Usd::from_nanos(1_000_000_000_000);
        let rates = [
            ("fee_usd", prices.fee_usd),
            ("vcpu_second_usd", prices.vcpu_second_usd),
            ("gib_second_usd", prices.gib_second_usd),
        ];
        if let Some((key, _)) = rates.into_iter().find(|(_, rate)| *rate > most) {
            return Err(InvalidPrices::Rate { key });
        }
        if prices.minimum_seconds > 86_400 {
            return Err(InvalidPrices::Minimum);
        }
        let fits = |spec: &Spec| {
            (1..=1024).contains(&spec.vcpu) && (1..=16_777_216).contains(&spec.memory_mb)
        };
        if !fits(&prices.default) {
            return Err(InvalidPrices::Size { key: "default".to_owned() });
        }
        if let Some((name, _)) = prices.templates.iter().find(|(_, spec)| !fits(spec)) {
            return Err(InvalidPrices::Size { key: format!("templates.{name}") });
        }
        Ok(Self::of(prices))
    }

    fn of(prices: Prices) -> Self {
        let mut hash = Sha256::new();
        for amount in [prices.fee_usd, prices.vcpu_second_usd, prices.gib_second_usd] {
            hash.update(amount.nanos().to_be_bytes());
        }
        hash.update(prices.minimum_seconds.to_be_bytes());
        let default = [("", &prices.default)];
        let templates = prices.templates.iter().map(|(name, spec)| (name.as_str(), spec));
        for (name, spec) in default.into_iter().chain(templates) {
            hash.update((name.len() as u64).to_be_bytes());
            hash.update(name);
            hash.update(spec.vcpu.to_be_bytes());
            hash.update(spec.memory_mb.to_be_bytes());
        }
        Self { prices, digest: hex::encode(hash.finalize()) }
    }

    /// SHA-256 of the prices, in hex: receipts name the card that they were computed with.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The size of a template; the default size if it is not listed.
    pub fn spec(&self, template: &str) -> Spec {
        self.prices.templates.get(template).copied().unwrap_or(self.prices.default)
    }

    /// What `time` in a sandbox of `template` costs, the fee included.
    pub fn cost(&self, template: &str, time: Duration) -> Usd {
        self.cost_of(self.spec(template), time)
    }

    /// The same for a sandbox whose size the provider has told. At most [`Usd::MAX`].
    pub fn cost_of(&self, spec: Spec, time: Duration) -> Usd {
        let started = u64::from(time.subsec_nanos() > 0);
        let seconds = time.as_secs().saturating_add(started);
        let seconds = seconds.max(u64::from(self.prices.minimum_seconds));
        let metered = (self.rate_1024(spec) * i128::from(seconds) + 1023) / 1024;
        let total = metered + i128::from(self.prices.fee_usd.nanos());
        i64::try_from(total).map_or(Usd::MAX, |nanos| Usd::from_nanos(nanos).min(Usd::MAX))
    }

    /// The longest whole number of seconds in a sandbox of `template` that `amount` buys, the fee
    /// included; zero if it does not buy the minimum. [`Duration::MAX`] if time costs nothing.
    pub fn affordable(&self, template: &str, amount: Usd) -> Duration {
        let spec = self.spec(template);
        let rate = self.rate_1024(spec);
        let left = i128::from(amount.nanos()) - i128::from(self.prices.fee_usd.nanos());
        if left < 0 {
            return Duration::ZERO;
        }
        if rate == 0 {
            return Duration::MAX;
        }
        let seconds = u64::try_from(left * 1024 / rate).unwrap_or(u64::MAX);
        if seconds < u64::from(self.prices.minimum_seconds) {
            return Duration::ZERO;
        }
        Duration::from_secs(seconds)
    }

    /// 1/1024 nano-USD a second: exact, because memory is counted in MiB. Below 2^70.
    fn rate_1024(&self, spec: Spec) -> i128 {
        let vcpu = i128::from(self.prices.vcpu_second_usd.nanos()) * i128::from(spec.vcpu) * 1024;
        let memory = i128::from(self.prices.gib_second_usd.nanos()) * i128::from(spec.memory_mb);
        vcpu + memory
    }
}

#[cfg(test)]
mod tests;
