//! The ledger as a few sums in memory: what the scripts must agree with.

use std::collections::BTreeMap;

use airlock_contract::Circuit;

/// An account by its place in the tree of the test.
pub(crate) type At = usize;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Reserve {
        at: At,
        id: u32,
        amount: i64,
    },
    Extend {
        at: At,
        id: u32,
        total: i64,
    },
    Settle {
        at: At,
        id: u32,
        actual: i64,
    },
    Void {
        at: At,
        id: u32,
    },
    Spend {
        at: At,
        key: u32,
        amount: i64,
    },
    TopUp {
        at: At,
        key: u32,
        amount: i64,
    },
    Reset {
        at: At,
    },
    CanSpend {
        at: At,
        amount: i64,
    },
    /// The hold's lease ends; nobody looks yet.
    Lapse {
        at: At,
        id: u32,
    },
    /// A settlement by a caller that knows of the hold, whether or not the ledger does.
    SettleForgotten {
        at: At,
        id: u32,
        actual: i64,
    },
    /// The account's period ends; nobody looks yet. Only for accounts that have periods.
    Roll {
        at: At,
    },
    /// Delete, and make again if that was granted.
    Remake {
        at: At,
    },
}

/// What an operation comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    /// A number that goes with it: held, booked, or whether it can be spent.
    Amount(i64),
    Exceeded(At),
    Open(At),
    Conflict,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Held,
    Lapsed,
    Returned,
    Voided,
    Settled(i64),
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    state: State,
    asked: i64,
    amount: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) parent: Option<At>,
    pub(crate) first_limit: i64,
    pub(crate) limit: i64,
    pub(crate) spent: i64,
    pub(crate) reserved: i64,
    pub(crate) circuit: Circuit,
    trial: Option<(At, u32)>,
    refusals: u32,
    /// Its period has ended and nobody has looked.
    is_over: bool,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) accounts: Vec<Account>,
    holds: BTreeMap<(At, u32), Hold>,
    spendings: BTreeMap<(At, u32), i64>,
    top_ups: BTreeMap<(At, u32), i64>,
    refusals_to_open: u32,
}

impl Model {
    pub(crate) fn new(tree: &[(Option<At>, i64)], refusals_to_open: u32) -> Self {
        let account = |(parent, limit): &(Option<At>, i64)| Account {
            parent: *parent,
            first_limit: *limit,
            limit: *limit,
            spent: 0,
            reserved: 0,
            circuit: Circuit::Closed,
            trial: None,
            refusals: 0,
            is_over: false,
        };
        Self {
            accounts: tree.iter().map(account).collect(),
            holds: BTreeMap::new(),
            spendings: BTreeMap::new(),
            top_ups: BTreeMap::new(),
            refusals_to_open,
        }
    }

    fn chain(&self, at: At) -> Vec<At> {
        std::iter::successors(Some(at), |at| self.accounts[*at].parent).collect()
    }

    /// The account and those above it are looked at.
    pub(crate) fn look(&mut self, at: At) {
        for at in self.chain(at) {
            let account = &mut self.accounts[at];
            if std::mem::take(&mut account.is_over) {
                (account.spent, account.circuit) = (0, Circuit::Closed);
                (account.trial, account.refusals) = (None, 0);
            }
        }
    }

    pub(crate) fn apply(&mut self, op: Op) -> Answer {
        match op {
            Op::Reserve { at, .. }
            | Op::Extend { at, .. }
            | Op::Settle { at, .. }
            | Op::SettleForgotten { at, .. }
            | Op::Void { at, .. }
            | Op::Spend { at, .. }
            | Op::TopUp { at, .. }
            | Op::Reset { at }
            | Op::CanSpend { at, .. }
            | Op::Remake { at } => self.look(at),
            Op::Lapse { .. } | Op::Roll { .. } => {}
        }
        match op {
            Op::Reserve { at, id, amount } => self.reserve(at, id, amount),
            Op::Extend { at, id, total } => self.extend(at, id, total),
            Op::Settle { at, id, actual } => self.settle(at, id, actual),
            Op::Void { at, id } => self.void(at, id),
            Op::Spend { at, key, amount } => self.spend(at, key, amount),
            Op::TopUp { at, key, amount } => self.top_up(at, key, amount),
            Op::Reset { at } => {
                let account = &mut self.accounts[at];
                if account.circuit == Circuit::Open {
                    account.circuit = Circuit::HalfOpen;
                }
                (account.trial, account.refusals) = (None, 0);
                self.touch(None);
                Answer::Done
            }
            Op::CanSpend { at, amount } => {
                self.touch(None);
                let chain = self.chain(at);
                let refused = self.shut(&chain, None).or_else(|| self.poor(&chain, amount));
                Answer::Amount(i64::from(refused.is_none()))
            }
            Op::Lapse { at, id } => {
                if let Some(hold) = self.holds.get_mut(&(at, id))
                    && hold.state == State::Held
                {
                    hold.state = State::Lapsed;
                }
                Answer::Done
            }
            Op::SettleForgotten { at, id, actual } => {
                self.touch(Some((at, id)));
                let forgotten = Hold { state: State::Returned, asked: 0, amount: 0 };
                self.holds.entry((at, id)).or_insert(forgotten);
                self.settle(at, id, actual)
            }
            Op::Roll { at } => {
                self.accounts[at].is_over = true;
                Answer::Done
            }
            Op::Remake { at } => self.remake(at),
        }
    }

    /// Returns what has lapsed.
    pub(crate) fn touch(&mut self, skip: Option<(At, u32)>) {
        let lapsed: Vec<(At, u32)> = self
            .holds
            .iter()
            .filter(|(key, hold)| hold.state == State::Lapsed && Some(**key) != skip)
            .map(|(key, _)| *key)
            .collect();
        for key in lapsed {
            self.release(key);
            self.set(key, State::Returned);
        }
    }

    fn set(&mut self, key: (At, u32), state: State) {
        if let Some(hold) = self.holds.get_mut(&key) {
            hold.state = state;
        }
    }

    fn release(&mut self, key: (At, u32)) {
        let amount = self.holds[&key].amount;
        for at in self.chain(key.0) {
            self.accounts[at].reserved -= amount;
            if self.accounts[at].trial == Some(key) {
                self.accounts[at].trial = None;
            }
        }
    }

    fn shut(&self, chain: &[At], key: Option<(At, u32)>) -> Option<At> {
        chain.iter().copied().find(|at| {
            let account = &self.accounts[*at];
            match account.circuit {
                Circuit::Closed => false,
                Circuit::Open => true,
                Circuit::HalfOpen => account.trial.is_some() && account.trial != key,
            }
        })
    }

    fn poor(&self, chain: &[At], amount: i64) -> Option<At> {
        chain.iter().copied().find(|at| {
            let account = &self.accounts[*at];
            account.limit - account.spent - account.reserved < amount
        })
    }

    /// The refusal, or that all accounts grant it.
    fn ask(&mut self, at: At, amount: i64, key: Option<(At, u32)>, skip: bool) -> Option<Answer> {
        let chain = self.chain(at);
        // An open circuit is answered before anything else happens.
        let is_open = |at: &At| self.accounts[*at].circuit == Circuit::Open;
        if let Some(open) = chain.iter().copied().find(is_open) {
            return Some(Answer::Open(open));
        }
        self.touch(if skip { key } else { None });
        if let Some(shut) = self.shut(&chain, key) {
            return Some(Answer::Open(shut));
        }
        if let Some(poor) = self.poor(&chain, amount) {
            let most = self.refusals_to_open;
            let account = &mut self.accounts[poor];
            if amount > account.limit - account.spent {
                account.refusals += 1;
                let enough = most > 0 && account.refusals >= most;
                if account.circuit == Circuit::HalfOpen || enough {
                    account.circuit = Circuit::Open;
                }
            }
            return Some(Answer::Exceeded(poor));
        }
        for at in chain {
            self.accounts[at].refusals = 0;
        }
        None
    }

    fn take(&mut self, key: (At, u32), amount: i64) {
        for at in self.chain(key.0) {
            self.accounts[at].reserved += amount;
            if self.accounts[at].circuit == Circuit::HalfOpen {
                self.accounts[at].trial = Some(key);
            }
        }
    }

    fn book(&mut self, at: At, amount: i64, key: Option<(At, u32)>) {
        for at in self.chain(at) {
            let account = &mut self.accounts[at];
            account.spent += amount;
            if account.spent > account.limit {
                (account.circuit, account.trial) = (Circuit::Open, None);
            } else if account.circuit == Circuit::HalfOpen && account.trial == key {
                (account.circuit, account.trial) = (Circuit::Closed, None);
            }
        }
    }

    fn reserve(&mut self, at: At, id: u32, amount: i64) -> Answer {
        let key = (at, id);
        if let Some(hold) = self.holds.get(&key).copied() {
            if hold.state != State::Voided && hold.asked != amount {
                return Answer::Conflict;
            }
            match hold.state {
                State::Held | State::Lapsed => {
                    self.set(key, State::Held);
                    self.touch(None);
                    return Answer::Amount(hold.amount);
                }
                State::Settled(_) => return Answer::Amount(hold.amount),
                State::Returned | State::Voided => {}
            }
        }
        if let Some(refused) = self.ask(at, amount, Some(key), false) {
            return refused;
        }
        self.take(key, amount);
        self.holds.insert(key, Hold { state: State::Held, asked: amount, amount });
        Answer::Amount(amount)
    }

    fn extend(&mut self, at: At, id: u32, total: i64) -> Answer {
        let key = (at, id);
        let Some(hold) = self.holds.get(&key).copied() else {
            return Answer::Unknown;
        };
        let before = match hold.state {
            State::Voided => return Answer::Unknown,
            State::Settled(_) => return Answer::Conflict,
            State::Held | State::Lapsed => hold.amount,
            State::Returned => 0,
        };
        let anew = hold.state == State::Returned;
        if total > before || anew {
            if let Some(refused) = self.ask(at, total - before, Some(key), true) {
                return refused;
            }
            self.take(key, total - before);
            self.holds.insert(key, Hold { state: State::Held, asked: hold.asked, amount: total });
            return Answer::Amount(total);
        }
        self.set(key, State::Held);
        Answer::Amount(before)
    }

    fn settle(&mut self, at: At, id: u32, actual: i64) -> Answer {
        let key = (at, id);
        self.touch(Some(key));
        let Some(hold) = self.holds.get(&key).copied() else {
            return Answer::Unknown;
        };
        match hold.state {
            State::Voided => return Answer::Conflict,
            State::Settled(booked) if booked != actual => return Answer::Conflict,
            State::Settled(_) => return Answer::Amount(actual),
            State::Held | State::Lapsed => {
                for at in self.chain(at) {
                    self.accounts[at].reserved -= hold.amount;
                }
            }
            State::Returned => {}
        }
        self.book(at, actual, Some(key));
        self.set(key, State::Settled(actual));
        Answer::Amount(actual)
    }

    fn void(&mut self, at: At, id: u32) -> Answer {
        let key = (at, id);
        self.touch(Some(key));
        match self.holds.get(&key).map(|hold| hold.state) {
            Some(State::Settled(_)) => return Answer::Conflict,
            Some(State::Held | State::Lapsed) => {
                self.release(key);
                self.set(key, State::Voided);
            }
            Some(State::Returned) => self.set(key, State::Voided),
            Some(State::Voided) | None => {}
        }
        Answer::Done
    }

    fn spend(&mut self, at: At, key: u32, amount: i64) -> Answer {
        if let Some(booked) = self.spendings.get(&(at, key)) {
            return if *booked == amount { Answer::Amount(amount) } else { Answer::Conflict };
        }
        if let Some(refused) = self.ask(at, amount, None, false) {
            return refused;
        }
        self.book(at, amount, None);
        self.spendings.insert((at, key), amount);
        Answer::Amount(amount)
    }

    fn top_up(&mut self, at: At, key: u32, amount: i64) -> Answer {
        self.touch(None);
        if let Some(added) = self.top_ups.get(&(at, key)) {
            return if *added == amount { Answer::Done } else { Answer::Conflict };
        }
        let account = &mut self.accounts[at];
        account.limit += amount;
        if account.circuit == Circuit::Open && account.spent < account.limit {
            account.circuit = Circuit::HalfOpen;
            (account.trial, account.refusals) = (None, 0);
        }
        self.top_ups.insert((at, key), amount);
        Answer::Done
    }

    fn remake(&mut self, at: At) -> Answer {
        self.touch(None);
        let open = |((of, _), hold): (&(At, u32), &Hold)| *of == at && hold.state == State::Held;
        if self.accounts[at].reserved != 0 || self.holds.iter().any(open) {
            return Answer::Conflict;
        }
        let account = &mut self.accounts[at];
        (account.limit, account.spent) = (account.first_limit, 0);
        (account.circuit, account.trial, account.refusals) = (Circuit::Closed, None, 0);
        self.holds.retain(|(of, _), _| *of != at);
        self.spendings.retain(|(of, _), _| *of != at);
        self.top_ups.retain(|(of, _), _| *of != at);
        Answer::Done
    }
}
