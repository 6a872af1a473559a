//! Lanes: one attempt at commands that run side by side, each in a sandbox of its own.
//!
//! A lane is a [`Run`] for one command: the same attempt, fence and record, with a sandbox of its
//! own. The money stays with the run that opened it; a lane knows only how much time is paid for.

use std::sync::Arc;
use std::time::Duration;

use airlock_contract::Usd;
use tokio::sync::Mutex;

use super::money::{Bills, Hold, Price, billed};
use super::sandbox::GENERATION;
use super::{Asked, Job, Run};

impl Run {
    /// Leaves every sandbox that an earlier attempt bound to its lane.
    pub(crate) fn spread_out(&mut self) {
        if let Some(live) = self.live.take() {
            self.found.insert(live.bound.slot, live);
        }
    }

    /// Whether any command may have been started, or is about to be.
    pub(crate) fn has_work(&self) -> bool {
        self.may_have_started() || !self.lanes.is_empty()
    }

    /// Whether an earlier attempt began command `index`.
    pub(crate) fn has_begun(&self, index: u32) -> bool {
        self.commands.contains_key(&index)
    }

    /// Whether a sandbox is bound for command `index`.
    pub(crate) fn has_sandbox(&self, index: u32) -> bool {
        self.found.keys().any(|slot| slot % GENERATION == index)
    }

    /// What the sandboxes of command `index` that are over are charged for.
    pub(crate) fn billed_of(&self, index: u32) -> Duration {
        let bills = self.bills.iter().filter(|(_, bill)| bill.slot % GENERATION == index);
        billed(&bills.map(|(id, bill)| (id.clone(), *bill)).collect())
    }

    /// Time that is paid for with all other commands: those that are over, and the open lanes.
    pub(crate) fn open_time(&self, index: u32) -> Duration {
        let others = self.bills.iter().filter(|(_, bill)| bill.slot % GENERATION != index);
        let over = billed(&others.map(|(id, bill)| (id.clone(), *bill)).collect());
        over + self.lane_time.values().sum::<Duration>()
    }

    /// Opens the lane of command `index`, which `price` pays for.
    pub(crate) fn open_lane(&mut self, index: u32, price: Price) -> Arc<Mutex<Self>> {
        let is_own = |slot: u32| slot % GENERATION == index;
        let slot = self.found.keys().copied().find(|slot| is_own(*slot));
        let own = self.bills.extract_if(.., |_, bill| is_own(bill.slot));
        let bills: Bills = own.collect();
        let live = slot.and_then(|slot| self.found.remove(&slot));
        let of_it = |key: u32| key == index || key >= Job::FIRST_SETUP;
        let commands = self.commands.iter().filter(|(key, _)| of_it(**key));
        self.lane_time.insert(index, price.covers);
        let lane = Self {
            core: self.core.clone(),
            key: self.key.clone(),
            fence: self.fence,
            identity: self.identity.clone(),
            attempt: self.attempt.clone(),
            pulse: self.pulse.lane(index),
            redactor: self.redactor.clone(),
            resumed: self.resumed,
            commands: commands.map(|(key, state)| (*key, state.clone())).collect(),
            bills,
            held: None,
            hold: Some(Hold { price, amount: Usd::ZERO, warnings: Vec::new(), refused: false }),
            claimed_at_ms: self.claimed_at_ms,
            live,
            borrowed: None,
            found: std::collections::BTreeMap::new(),
            creating: None,
            on_their_way: Vec::new(),
            asked: Asked { sandbox: self.asked.sandbox.clone(), hold: false },
            renewal: None,
            provider_start_ms: None,
            following: None,
            lanes: std::collections::BTreeMap::new(),
            lane_time: std::collections::BTreeMap::new(),
            approved: self.approved,
            approval_ttl: self.approval_ttl,
            reattached: false,
            stream_cap: self.stream_cap,
        };
        let lane = Arc::new(Mutex::new(lane));
        self.lanes.insert(index, lane.clone());
        lane
    }

    /// Takes back what the lane of command `index` knows. Its work must be over, or let go of.
    pub(crate) async fn close_lane(&mut self, index: u32) {
        self.lane_time.remove(&index);
        self.pulse.close_lane(index);
        let Some(lane) = self.lanes.remove(&index) else { return };
        let mut lane = lane.lock().await;
        self.bills.append(&mut lane.bills);
        self.commands.append(&mut lane.commands);
        self.reattached |= lane.reattached;
        if let Some(live) = lane.live.take() {
            self.found.insert(live.bound.slot, live);
        }
        self.on_their_way.extend(lane.creating.take());
    }

    /// Takes back what all lanes know.
    pub(super) async fn close_lanes(&mut self) {
        while let Some(index) = self.lanes.keys().next().copied() {
            self.close_lane(index).await;
        }
    }
}
