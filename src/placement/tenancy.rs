//! Tenancy: which tenant may have how much of the fleet. It keeps account of streams; which node a stream gets is
//! decided in [`super::place`], and a stream that runs is never ended for another one.
//!
//! # States
//!
//! A stream's room is *booked* when its first publisher comes and until the stream ends, however often publishers or
//! nodes change meanwhile; so a reconnect or a takeover is never refused for want of room. Before anything is known of it, it is
//! taken for what its tenant's streams are expected to be; its first lease request brings what it really is.
//!
//! * *waiting*: there was no room. It counts for the tenant's limits and for no share of the fleet. Each of its lease
//!   requests is judged as a publish is.
//! * *promised*: there was room. Until it is placed, no other gets what it needs.
//! * *ran*: it had a lease. Between two leases it stays promised, and goes before all that wait.
//!
//! # Who gets room
//!
//! Tenants are compared by their dominant share, divided by their weight (Ghodsi et al., *Dominant Resource Fairness*,
//! NSDI 2011, §4.1 and §4.3); the lower is the *poorer*. There are no pools: whoever asks may have all, except that
//!
//! * room that is promised stays so, and streams that lost their node go first;
//! * a poorer tenant's stream that waits, and could want the same node, goes first;
//! * beyond a tenant's first stream, what stays free must still hold one more for each other tenant that has none, or
//!   would be poorer with it than the asker then is. The poorest come first, as long as that does not add up to more than
//!   [`KEPT_BACK`] of the fleet. One is kept even where it is more than that, up to [`MOST_KEPT_FOR_ONE`]: of a fleet for
//!   four streams the last is not for who has three.
//!
//! # Bounds and answers
//!
//! Bookings: `max_streams` of each tenant and [`MAX_BOOKINGS`] of all; one more is refused with
//! [`Reason::LimitExceeded`]. Waiting: a booking each, and only one that asked within [`WAITING_FOR`] holds others up. Kept back: at
//! most [`MAX_KEPT`] streams. Without room a publish is refused with [`Reason::NoRoom`], or waits where its tenant has
//! it so, and where no node is alive at all. A stream that turns out to be more than its tenant's pixels is ended with
//! [`Reason::LimitExceeded`].
//!
//! [`Reason::LimitExceeded`]: crate::base::reason::Reason::LimitExceeded
//! [`Reason::NoRoom`]: crate::base::reason::Reason::NoRoom

mod account;
mod amounts;
mod refusal;
pub mod snapshot;
mod supply;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use self::account::{Account, Booking, Standing, as_float};
pub use self::account::{TenantLimits, WhenFull};
pub use self::amounts::Amounts;
pub use self::refusal::{Shortage, TenancyRefusal};
pub use self::supply::{Candidate, FleetRoom, NodeRoom, Wish};
use self::supply::{Supply, compete, least};
use crate::base::names::{Name, StreamName};
use crate::wire::cost::Cost;
use crate::wire::message::LeaseId;

/// The largest part of the fleet that is kept back for poorer tenants, where that is more than one stream.
pub const KEPT_BACK: f64 = 0.2;
/// The largest part of the fleet that is kept back for a single stream: with less than two streams' room whoever comes first
/// has it.
pub const MOST_KEPT_FOR_ONE: f64 = 0.5;
/// The most streams that room is kept back for; poorer tenants beyond that find what the others leave.
pub const MAX_KEPT: usize = 64;
/// How long a stream that waits goes before others after it last asked. It asks four times a second.
pub const WAITING_FOR: Duration = Duration::from_secs(2);
/// The most streams of all tenants together.
pub const MAX_BOOKINGS: usize = 16_384;

/// All tenants and what they have.
///
/// Invariants: no tenant has more bookings than `max_streams` or more pixels than `max_pixels_per_second`; a booking that
/// does not wait has a cost; every lease belongs to a booking that lists it.
#[derive(Clone, Debug)]
pub struct Tenancy {
    tenants: BTreeMap<Name, Account>,
    /// The wishes that tenants are expected to have, each once.
    kinds: Vec<Wish>,
    /// Bounded by the slots of all nodes.
    leases: BTreeMap<LeaseId, StreamName>,
    bookings_made: u64,
}

/// Whose turn it would be.
#[derive(Clone, Copy)]
struct Asker<'a> {
    stream: &'a StreamName,
    account: &'a Account,
    /// Nodes that could take it.
    candidates: &'a [Candidate],
    /// Its tenant's weighted share, and what that would be with it.
    shares: (f64, f64),
    now: Instant,
}

impl Tenancy {
    /// Nobody has anything yet.
    #[must_use]
    pub fn new(tenants: BTreeMap<Name, TenantLimits>) -> Self {
        let mut kinds: Vec<Wish> = Vec::new();
        let mut account = |limits: TenantLimits| {
            let known = kinds.iter().position(|kind| *kind == limits.expected);
            let kind = known.unwrap_or_else(|| {
                kinds.push(limits.expected.clone());
                kinds.len() - 1
            });
            Account::new(limits, kind)
        };
        let tenants = tenants.into_iter().map(|(name, limits)| (name, account(limits))).collect();
        Self { tenants, kinds, leases: BTreeMap::new(), bookings_made: 0 }
    }

    /// A publisher wants to open `stream`. Each time that this is granted must be followed by one
    /// [`Tenancy::handle_ended`].
    ///
    /// # Errors
    /// Over a limit, or without room where the tenant does not wait. Nothing is booked then.
    pub fn admit(
        &mut self,
        stream: &StreamName,
        room: &dyn FleetRoom,
        now: Instant,
    ) -> Result<(), TenancyRefusal> {
        if let Some(booking) = self.booking(stream) {
            booking.holders += 1;
            return Ok(());
        }
        let judged = self.judge_publish(stream, room, now);
        let Some(account) = self.tenants.get_mut(&stream.tenant) else {
            return Err(TenancyRefusal::UnknownTenant(stream.tenant.clone()));
        };
        let cost = match judged {
            Ok(cost) => cost,
            Err(TenancyRefusal::Room(_)) if account.limits.when_full == WhenFull::Wait => None,
            Err(refusal) => {
                account.refused = account.refused.saturating_add(1);
                return Err(refusal);
            }
        };
        self.bookings_made += 1;
        let booking = Booking {
            holders: 1,
            leases: BTreeSet::new(),
            standing: if cost.is_some() { Standing::Promised } else { Standing::Waiting },
            pixel_rate: account.limits.expected.work.encoded_pixel_rate(),
            asked: cost.is_none().then_some(now),
            order: self.bookings_made,
            cost,
        };
        account.bookings.insert(stream.name.clone(), booking);
        Ok(())
    }

    /// What a new stream would take; `None` where it must wait because there is no node.
    fn judge_publish(
        &self,
        stream: &StreamName,
        room: &dyn FleetRoom,
        now: Instant,
    ) -> Result<Option<Amounts>, TenancyRefusal> {
        let tenant = &stream.tenant;
        let Some(account) = self.tenants.get(tenant) else {
            return Err(TenancyRefusal::UnknownTenant(tenant.clone()));
        };
        let (has, most) = (account.bookings.len(), account.limits.max_streams);
        if has >= most {
            return Err(TenancyRefusal::Streams { tenant: tenant.clone(), has, most });
        }
        if self.tenants.values().map(|account| account.bookings.len()).sum::<usize>() >= MAX_BOOKINGS {
            return Err(TenancyRefusal::Bookings);
        }
        let expected = &account.limits.expected;
        check_pixels(stream, account, expected.work.encoded_pixel_rate())?;
        let judged = self.judge(stream, expected, room, now);
        Ok(judged.map_err(|shortage| shortage.told(|| room.shortage(expected)))?)
    }

    /// A stream wants a lease and says what it really is. Ask the fleet for a node only when this is granted, and report
    /// what came of it.
    ///
    /// # Errors
    /// [`TenancyRefusal::Room`] where it must wait and ask again; anything else ends the stream. One that has room is not
    /// refused but for its pixels.
    pub fn handle_demand(
        &mut self,
        stream: &StreamName,
        wish: &Wish,
        room: &dyn FleetRoom,
        now: Instant,
    ) -> Result<(), TenancyRefusal> {
        let Some(account) = self.tenants.get_mut(&stream.tenant) else { return Ok(()) };
        let rate = wish.work.encoded_pixel_rate();
        let checked = check_pixels(stream, account, rate);
        let Some(booking) = account.bookings.get_mut(&stream.name) else { return Ok(()) };
        if let Err(refusal) = checked {
            account.refused = account.refused.saturating_add(1);
            return Err(refusal);
        }
        booking.pixel_rate = rate;
        if booking.leases.is_empty() {
            // Until now it was reckoned with as what its tenant's streams are expected to be.
            booking.cost = room.cost(wish).or(booking.cost);
        }
        if booking.standing != Standing::Waiting {
            return Ok(());
        }
        booking.asked = Some(now);
        match self.judge(stream, wish, room, now) {
            // What there is none of, the fleet says best itself.
            Ok(_) | Err(Shortage::Full(_) | Shortage::Unsuitable(_)) => Ok(()),
            Err(
                shortage @ (Shortage::Promised
                | Shortage::AfterRunning
                | Shortage::AfterPoorer
                | Shortage::KeptBack),
            ) => Err(shortage.into()),
        }
    }

    /// The fleet has offered a lease for a stream, at this cost.
    pub fn handle_placed(&mut self, stream: &StreamName, lease: LeaseId, cost: &Cost) {
        let Some(booking) = self.booking(stream) else { return };
        booking.leases.insert(lease);
        booking.standing = Standing::Ran;
        booking.cost = Some(Amounts::of(cost));
        booking.asked = None;
        self.leases.insert(lease, stream.clone());
    }

    /// The fleet had no node for a stream that asked.
    pub fn handle_waiting(&mut self, stream: &StreamName, now: Instant) {
        if let Some(booking) = self.booking(stream) {
            booking.asked = Some(now);
        }
    }

    /// A lease is over.
    pub fn handle_released(&mut self, lease: LeaseId) {
        let Some(stream) = self.leases.remove(&lease) else { return };
        if let Some(booking) = self.booking(&stream) {
            booking.leases.remove(&lease);
        }
    }

    /// Whoever was admitted for a stream is done with it; with the last one the booking ends.
    pub fn handle_ended(&mut self, stream: &StreamName) {
        let Some(account) = self.tenants.get_mut(&stream.tenant) else { return };
        let Some(booking) = account.bookings.get_mut(&stream.name) else { return };
        booking.holders = booking.holders.saturating_sub(1);
        if booking.holders == 0
            && let Some(Booking { leases, .. }) = account.bookings.remove(&stream.name)
        {
            leases.iter().for_each(|lease| drop(self.leases.remove(lease)));
        }
    }

    fn booking(&mut self, stream: &StreamName) -> Option<&mut Booking> {
        self.tenants.get_mut(&stream.tenant)?.bookings.get_mut(&stream.name)
    }

    /// What `stream` would take of the fleet if it were its turn now; `None` where there is no node. What each node lacks is not
    /// told: streams that wait are judged four times a second, and nobody reads it.
    fn judge(
        &self,
        stream: &StreamName,
        wish: &Wish,
        room: &dyn FleetRoom,
        now: Instant,
    ) -> Result<Option<Amounts>, Shortage> {
        let Some(mut supply) = Supply::new(room, &self.kinds) else { return Ok(None) };
        let Some(account) = self.tenants.get(&stream.tenant) else { return Ok(None) };
        let candidates = room.candidates(wish);
        if candidates.is_empty() {
            return Err(Shortage::Unsuitable(String::new()));
        }
        if !supply.holds(&candidates) {
            return Err(Shortage::Full(String::new()));
        }
        let cost = least(&candidates, supply.capacity()).unwrap_or_default();
        let share = |more| account.share_with(more, supply.capacity());
        let shares = (share(Amounts::default()), share(cost));
        let asker = Asker { stream, account, candidates: &candidates, shares, now };
        self.keep_promises(asker, &mut supply)?;
        self.let_others_first(asker, &mut supply)?;
        let cost = supply.take_spread(&candidates).ok_or(Shortage::Promised)?;
        if account.has_any() {
            self.keep_back(asker, &mut supply)?;
        }
        Ok(Some(cost))
    }

    /// Takes what is promised and not placed from the supply. A stream that asks for it in vain holds up others on its nodes.
    fn keep_promises(&self, asker: Asker<'_>, supply: &mut Supply<'_>) -> Result<(), Shortage> {
        for account in self.tenants.values() {
            let promised =
                |booking: &&Booking| booking.standing != Standing::Waiting && booking.leases.is_empty();
            for booking in account.bookings.values().filter(promised) {
                let candidates = booking.candidates(account.kind, supply);
                if supply.take(&candidates).is_none()
                    && booking.waits(asker.now)
                    && asker.is_held_up_by(&candidates, supply)
                {
                    return Err(Shortage::AfterRunning);
                }
            }
        }
        Ok(())
    }

    /// Takes from the supply what those get who wait and whose turn comes before the asker's: streams of poorer tenants, and
    /// earlier ones of its own.
    fn let_others_first(&self, asker: Asker<'_>, supply: &mut Supply<'_>) -> Result<(), Shortage> {
        let own = &asker.stream.tenant;
        let before = asker.account.bookings.get(&asker.stream.name).map_or(u64::MAX, |own| own.order);
        for (tenant, account) in &self.tenants {
            let share = account.share_with(Amounts::default(), supply.capacity());
            let poorer = tenant != own && share < asker.shares.0;
            let waiting =
                |booking: &&Booking| booking.standing == Standing::Waiting && booking.waits(asker.now);
            for booking in account.bookings.values().filter(waiting) {
                if !poorer && (tenant != own || booking.order >= before) {
                    continue;
                }
                let candidates = booking.candidates(account.kind, supply);
                let served = supply.take(&candidates).is_some();
                if !served && poorer && asker.is_held_up_by(&candidates, supply) {
                    return Err(Shortage::AfterPoorer);
                }
            }
        }
        Ok(())
    }

    /// Whether what is left still holds a stream for each poorer tenant. Those that wait have been served.
    fn keep_back(&self, asker: Asker<'_>, supply: &mut Supply<'_>) -> Result<(), Shortage> {
        let (capacity, mut poorer) = (*supply.capacity(), Vec::new());
        for (tenant, account) in &self.tenants {
            if *tenant == asker.stream.tenant || !account.may_grow() || account.waiting(asker.now) > 0 {
                continue;
            }
            let share = account.share_with(supply.least(account.kind), &capacity);
            if share < asker.shares.1 || !account.has_any() {
                poorer.push((account.has_any(), share, account.kind));
            }
        }
        poorer.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.total_cmp(&b.1)));
        let mut kept = Amounts::default();
        for (.., kind) in poorer.into_iter().take(MAX_KEPT) {
            let candidates = supply.candidates(kind);
            if !supply.could_hold(&candidates) {
                continue;
            }
            let most = if kept == Amounts::default() { MOST_KEPT_FOR_ONE } else { KEPT_BACK };
            kept += supply.least(kind);
            if kept.share_of(&capacity) > most {
                break;
            }
            supply.take(&candidates).ok_or(Shortage::KeptBack)?;
        }
        Ok(())
    }
}

impl Asker<'_> {
    /// Whether a stream that finds no room must be waited for: it could have a node that the asker could have.
    fn is_held_up_by(&self, candidates: &[Candidate], supply: &Supply<'_>) -> bool {
        compete(self.candidates, candidates) && supply.could_hold(candidates)
    }
}

fn check_pixels(stream: &StreamName, account: &Account, rate: f64) -> Result<(), TenancyRefusal> {
    let except = Some(&stream.name);
    if account.allows_pixels(rate, except) {
        return Ok(());
    }
    Err(TenancyRefusal::Pixels {
        tenant: stream.tenant.clone(),
        has: account.pixel_rate(except),
        most: account.limits.max_pixels_per_second.map_or(f64::INFINITY, as_float),
        more: rate,
    })
}

#[cfg(test)]
mod tests;
