//! Which encoder on which device each rendition gets on one node.
//!
//! The best would be that each rendition has the first of its encoders, and all of them that use a GPU the same one:
//! pictures that are decoded on one device and encoded on another must be copied between them. So those ways are tried
//! first, and the one that leaves its GPU least full wins. Only where none fits are renditions given out one by one, in the
//! ladder's order, each to its first encoder that has room.
//!
//! Nothing is allocated for a node: what is found of it lies where that of the node before lay.

use super::NodeView;
use super::explanation::Lack;
use super::offer::Offer;
use super::plans::{NOTHING, PlanId, Plans, Price, Tidied};
use super::site::Site;
use super::wanted::{Pick, Wanted};
use crate::placement::cost::Class;
use crate::placement::room::{Devices, Fit, Room, Shortage};
use crate::wire::cost::Cost;
use crate::wire::report::EncoderOn;

/// The choice for one node after the other.
pub(super) struct Encoders<'a> {
    pub(super) wanted: Wanted<'a>,
    plans: Plans<'a>,
    site: Site,
    /// For each encoder that is wanted, the devices of the node on which a session may be left.
    free: Vec<Devices>,
    /// What the first choice is where these are free: most nodes are as free as the one before.
    firsts: Vec<Option<Pick>>,
    of_firsts: Option<Result<Firsts, usize>>,
    /// What was chosen last.
    picks: Vec<Option<Pick>>,
    /// The devices of the node, the least used first.
    order: Vec<(f64, Option<u32>)>,
}

/// What was chosen for one node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Chosen {
    pub(super) fit: Fit,
    /// Whether each rendition is encoded by what the last attempt used.
    pub(super) as_before: bool,
    /// The place of the devices of each rendition's first encoder; `None` where renditions were given out one by one.
    way: Option<u32>,
}

/// The first encoder of each rendition that has a device.
#[derive(Clone, Copy, Debug)]
struct Firsts {
    /// How many ways there are to have them: the devices of that which has the most.
    ways: u32,
    /// Whether all ways need as much: there is one encoder at most that has GPUs, and it has not the CPU besides.
    alike: bool,
    /// The encoder that has GPUs.
    on_gpus: Option<usize>,
    /// The plan of them all, where all ways need as much.
    plan: PlanId,
}

impl<'a> Encoders<'a> {
    pub(super) fn new(wanted: Wanted<'a>, plans: Plans<'a>, site: Site) -> Self {
        Self {
            wanted,
            plans,
            site,
            free: Vec::new(),
            firsts: Vec::new(),
            of_firsts: None,
            picks: Vec::new(),
            order: Vec::new(),
        }
    }

    /// Whether it reads of what class a node is.
    #[inline]
    pub(super) fn tells_classes_apart(&self) -> bool {
        self.plans.tell_classes_apart()
    }

    /// Chooses for a node that offers this, so that no dimension is filled over the limit.
    ///
    /// # Errors
    /// What the first choice lacks, where no other fits either.
    pub(super) fn choose(&mut self, offer: &Offer, node: &NodeView<'a>) -> Result<Chosen, Lack> {
        let full = self.site.full_gpus(node.room);
        if self.plans.tidy(&self.wanted) == Tidied::Anew {
            self.of_firsts = None;
        }
        self.site.read_machine(node.room);
        let class = self.plans.class(node.class);
        let firsts = self.firsts(offer, full).map_err(|rendition| self.no_session(rendition, offer, full))?;
        match self.choose_together(firsts, node.room, class) {
            // What one by one fails by last is less telling than what all together did.
            Err(lack) if self.has_alternatives() => self.choose_apart(node.room, class).ok_or(lack),
            chosen => chosen,
        }
    }

    /// What was just chosen for a node, and what it costs there.
    pub(super) fn picked(&mut self, chosen: Chosen, node: &NodeView<'a>) -> (Vec<Option<EncoderOn>>, Cost) {
        if let Some(way) = chosen.way {
            self.go(way);
        }
        let (plan, class) = (self.plan(), self.plans.class(node.class));
        (self.wanted.encoders(&self.picks), self.plans.cost(plan, class, &self.picks))
    }

    /// How each rendition is made if all have their first encoders, or the first rendition without one.
    fn firsts(&mut self, offer: &Offer, full: Devices) -> Result<Firsts, usize> {
        let free = offer.devices.iter().map(|devices| devices.without(full));
        if let Some(known) = self.of_firsts
            && free.clone().zip(&self.free).all(|(free, known)| free == *known)
        {
            return known;
        }
        self.free.clear();
        self.free.extend(free);
        let mut found = self.find_firsts();
        if let Ok(firsts) = &mut found
            && firsts.alike
        {
            self.picks.clone_from(&self.firsts);
            firsts.plan = self.plan();
        }
        self.of_firsts = Some(found);
        found
    }

    fn find_firsts(&mut self) -> Result<Firsts, usize> {
        let mut firsts = Firsts { ways: 1, alike: true, on_gpus: None, plan: NOTHING };
        self.firsts.clear();
        for (rendition, list) in self.wanted.lists.iter().enumerate() {
            let first = list.iter().copied().find(|name| !self.free[*name].is_empty());
            let Some(name) = first else {
                if list.is_empty() {
                    self.firsts.push(None);
                    continue;
                }
                return Err(rendition);
            };
            let devices = self.free[name];
            let gpus = devices.and(Devices::GPUS);
            firsts.ways = firsts.ways.max(devices.count());
            if !gpus.is_empty() {
                firsts.alike &= gpus == devices && firsts.on_gpus.is_none_or(|other| other == name);
                firsts.on_gpus = Some(name);
            }
            self.firsts.push(Some(Pick { name, gpu: devices.iter().next().flatten() }));
        }
        Ok(firsts)
    }

    /// All GPUs are full that could make a rendition: the first of them.
    fn no_session(&self, rendition: usize, offer: &Offer, full: Devices) -> Lack {
        let names = self.wanted.lists.get(rendition).into_iter().flatten();
        let gpu = names.flat_map(|name| offer.devices[*name].and(full).iter()).flatten().next();
        Lack::Sessions(gpu.unwrap_or(u32::MAX))
    }

    /// Whether a rendition could be encoded otherwise than by its first encoder on its first device.
    fn has_alternatives(&self) -> bool {
        let count = |list: &Vec<usize>| list.iter().map(|name| self.free[*name].count()).sum::<u32>();
        self.wanted.lists.iter().any(|list| count(list) > 1)
    }

    /// Each rendition by its first encoder, and those that share one on one device.
    fn choose_together(
        &mut self,
        firsts: Firsts,
        room: &Room,
        class: Option<Class<'a>>,
    ) -> Result<Chosen, Lack> {
        if !firsts.alike {
            return self.choose_among(firsts.ways, room, class);
        }
        let as_before = self.plans.is_as_before(firsts.plan);
        let price = self.plans.price(firsts.plan, class);
        let machine = self.site.machine.fit_machine(&price.machine)?;
        let Some(name) = firsts.on_gpus else {
            return Ok(Chosen { fit: machine, as_before, way: Some(0) });
        };
        let mut best: Option<(Fit, u32)> = None;
        let mut lack = None;
        for (way, gpu) in (0..).zip(self.free[name].iter().flatten()) {
            match self.site.fit_gpu(room, gpu, &price.together) {
                Ok(fit) if best.is_none_or(|(best, _)| fit.gpu < best.gpu) => best = Some((fit, way)),
                Ok(_) => {}
                Err(short) => lack = lack.or(Some(short)),
            }
        }
        match (best, lack) {
            (Some((gpu, way)), _) => Ok(Chosen { fit: machine.and(gpu), as_before, way: Some(way) }),
            (None, Some(short)) => Err(short.into()),
            (None, None) => Err(Lack::Encoder(0)),
        }
    }

    /// The same where ways differ in more than the number of one GPU.
    fn choose_among(&mut self, ways: u32, room: &Room, class: Option<Class<'a>>) -> Result<Chosen, Lack> {
        let mut best: Option<Chosen> = None;
        let mut lack = None;
        for way in 0..ways {
            self.go(way);
            let plan = self.plan();
            let as_before = self.plans.is_as_before(plan);
            match fit(&mut self.site, room, &self.picks, self.plans.price(plan, class)) {
                Ok(fit) if best.is_none_or(|best| fit.gpu < best.fit.gpu) => {
                    best = Some(Chosen { fit, as_before, way: Some(way) });
                }
                Ok(_) => {}
                Err(short) => lack = lack.or(Some(short)),
            }
        }
        best.ok_or(lack.map_or(Lack::Encoder(0), Lack::from))
    }

    /// Puts each rendition on that device of its encoder that this way takes.
    fn go(&mut self, way: u32) {
        self.picks.clone_from(&self.firsts);
        for pick in self.picks.iter_mut().flatten() {
            let devices = self.free[pick.name];
            let place = way.checked_rem(devices.count()).unwrap_or(0);
            pick.gpu = devices.iter().zip(0..).find(|(_, at)| *at == place).and_then(|(device, _)| device);
        }
    }

    /// The plan of the picks.
    fn plan(&mut self) -> PlanId {
        let Self { plans, picks, wanted, .. } = self;
        picks.iter().fold(NOTHING, |plan, pick| plans.with(plan, *pick, wanted))
    }

    /// Rendition by rendition; `None` where there is one that has no room.
    fn choose_apart(&mut self, room: &Room, class: Option<Class<'a>>) -> Option<Chosen> {
        self.site.read_gpus(room);
        self.picks.clear();
        self.put_in_order();
        let mut plan = NOTHING;
        for rendition in 0..self.wanted.lists.len() {
            plan = self.choose_one(rendition, plan, (room, class))?;
        }
        let machine = self.site.machine.fit_machine(&self.plans.price(plan, class).machine).ok()?;
        let (fit, as_before) = (machine.and(self.site.taken()), self.plans.is_as_before(plan));
        Some(Chosen { fit, as_before, way: None })
    }

    fn put_in_order(&mut self) {
        let Self { order, free, site, .. } = self;
        let mut all = Devices::default();
        free.iter().for_each(|devices| all = all.or(*devices));
        order.clear();
        order.extend(all.iter().map(|device| (site.utilization(device), device)));
        order.sort_unstable_by(|(a, a_device), (b, b_device)| a.total_cmp(b).then(a_device.cmp(b_device)));
    }

    /// The first encoder for a rendition that has room beside those chosen before. Of several GPUs the one that the last
    /// rendition is on comes first.
    fn choose_one(
        &mut self,
        rendition: usize,
        before: PlanId,
        on: (&Room, Option<Class<'a>>),
    ) -> Option<PlanId> {
        if self.wanted.lists[rendition].is_empty() {
            let plan = self.machine_takes(None, before, on.1)?;
            return self.gpus_take(None, [before, plan], on).then_some(plan);
        }
        for at in 0..self.wanted.lists[rendition].len() {
            let name = self.wanted.lists[rendition][at];
            if let Some(plan) = self.choose_device(name, before, on) {
                return Some(plan);
            }
        }
        None
    }

    fn choose_device(
        &mut self,
        name: usize,
        before: PlanId,
        on: (&Room, Option<Class<'a>>),
    ) -> Option<PlanId> {
        let last = self.picks.iter().rev().flatten().find(|pick| pick.name == name).map(|pick| pick.gpu);
        // The machine needs as much whichever GPU it is.
        let (mut cpu, mut gpus) = (None, None);
        for at in 0..=self.order.len() {
            let gpu = match (at.checked_sub(1), last) {
                (None, None) => continue,
                (None, Some(last)) => last,
                (Some(at), _) => self.order[at].1,
            };
            if !self.free[name].contains(gpu) || (at > 0 && last == Some(gpu)) {
                continue;
            }
            let pick = Some(Pick { name, gpu });
            let plan = if gpu.is_some() { &mut gpus } else { &mut cpu };
            let plan = *plan.get_or_insert_with(|| self.machine_takes(pick, before, on.1));
            if let Some(plan) = plan
                && self.gpus_take(pick, [before, plan], on)
            {
                return Some(plan);
            }
        }
        None
    }

    /// The plan of one more rendition, made so, if the machine has room for it.
    fn machine_takes(
        &mut self,
        pick: Option<Pick>,
        before: PlanId,
        class: Option<Class<'a>>,
    ) -> Option<PlanId> {
        let plan = self.plans.with(before, pick, &self.wanted);
        self.site.machine.fits(&self.plans.price(plan, class).machine).then_some(plan)
    }

    /// Gives out one more rendition, if the GPUs have room for it.
    fn gpus_take(
        &mut self,
        pick: Option<Pick>,
        [before, plan]: [PlanId; 2],
        (room, class): (&Room, Option<Class<'a>>),
    ) -> bool {
        let Self { plans, picks, site, .. } = self;
        let price = plans.price(plan, class);
        picks.push(pick);
        let continues = price.continues;
        let fits = if continues {
            let gpu = pick.and_then(|pick| pick.gpu).and_then(|gpu| site.gpu(gpu));
            gpu.is_none_or(|gpu| gpu.take(&price.last).is_ok())
        } else {
            fit(site, room, picks, price).is_ok()
        };
        if !fits {
            picks.pop();
            if !continues {
                // What was given out before fits, or it would not have been.
                let _ = fit(site, room, picks, plans.price(before, class));
            }
        }
        fits
    }
}

/// How full the node would be with these picks alone, which are given out.
fn fit(site: &mut Site, room: &Room, picks: &[Option<Pick>], price: &Price) -> Result<Fit, Shortage> {
    let machine = site.machine.fit_machine(&price.machine)?;
    site.read_gpus(room);
    let on_gpus = picks.iter().zip(&price.gpus).filter_map(|(pick, need)| Some((pick.as_ref()?.gpu?, need)));
    site.take_all(on_gpus)?;
    Ok(machine.and(site.taken()))
}
