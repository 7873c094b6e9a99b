//! Which encoder on which device each rendition gets on one node.
//!
//! The best would be that each rendition has the first of its encoders, and all of them that use a GPU the same one:
//! pictures that are decoded on one device and encoded on another must be copied between them. So that is tried first,
//! on each GPU, and the one that is left least full wins. Only where that does not fit are renditions given out one by one,
//! in the ladder's order, each to its first encoder that has room.

use std::time::Instant;

use super::explanation::Lack;
use super::wanted::{Pick, Wanted};
use crate::placement::room::{Fit, Room};
use crate::wire::report::EncoderOn;

/// Where encoders are chosen for: a node's room, and how much of it may be filled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a, 'r> {
    pub(super) class: &'a str,
    pub(super) room: &'r Room,
    /// The share of each dimension that may be in use.
    pub(super) limit: f64,
    pub(super) now: Instant,
}

/// The choice for one node after the other. What it holds between them is only kept so that it need not be allocated again.
pub(super) struct Encoders<'a> {
    pub(super) wanted: Wanted<'a>,
    /// For each encoder that is wanted, the devices on which the node has it.
    devices: Vec<Vec<Option<u32>>>,
    /// What was chosen last.
    pub(super) picks: Vec<Option<Pick>>,
}

impl<'a> Encoders<'a> {
    pub(super) fn new(wanted: Wanted<'a>) -> Self {
        Self { devices: vec![Vec::new(); wanted.names.len()], picks: Vec::new(), wanted }
    }

    /// Finds out which of the wanted encoders the node has at all.
    ///
    /// # Errors
    /// The first rendition for which it has none.
    pub(super) fn look(&mut self, encoders: &[EncoderOn]) -> Result<(), Lack> {
        self.devices.iter_mut().for_each(Vec::clear);
        if !self.wanted.names.is_empty() {
            for on in encoders {
                if let Some(at) = self.wanted.names.iter().position(|name| *name == on.encoder) {
                    self.devices[at].push(on.gpu);
                }
            }
        }
        let lists = &self.wanted.lists;
        let nothing = |list: &&Vec<usize>| list.iter().all(|name| self.devices[*name].is_empty());
        match lists.iter().position(|list| !list.is_empty() && nothing(&list)) {
            Some(rendition) => Err(Lack::Encoder(u32::try_from(rendition).unwrap_or(u32::MAX))),
            None => Ok(()),
        }
    }

    /// Chooses, after [`Encoders::look`], so that no dimension is filled over `limit`.
    ///
    /// # Errors
    /// What the best choice lacks, where no other fits either.
    pub(super) fn choose(&mut self, site: Site<'a, '_>) -> Result<Fit, Lack> {
        self.leave_full_gpus(site)?;
        match self.choose_together(site) {
            Err(_) if self.has_alternatives() => self.choose_apart(site),
            chosen => chosen,
        }
    }

    /// A GPU without a session left is as good as none, and that is soon seen.
    fn leave_full_gpus(&mut self, site: Site<'a, '_>) -> Result<(), Lack> {
        let mut full = None;
        for devices in &mut self.devices {
            devices.retain(|device| match device {
                Some(gpu) if site.room.is_out_of_sessions(*gpu, site.now) => {
                    full = Some(*gpu);
                    false
                }
                Some(_) | None => true,
            });
        }
        let Some(gpu) = full else { return Ok(()) };
        let nothing = |list: &&Vec<usize>| list.iter().all(|name| self.devices[*name].is_empty());
        let missing = self.wanted.lists.iter().any(|list| !list.is_empty() && nothing(&list));
        if missing { Err(Lack::Sessions(gpu)) } else { Ok(()) }
    }

    /// Each rendition by its first encoder, and those that share one on one device.
    fn choose_together(&mut self, site: Site<'a, '_>) -> Result<Fit, Lack> {
        let mut best: Option<(Fit, usize)> = None;
        let mut lack = None;
        let ways = self.devices.iter().map(Vec::len).max().unwrap_or(0).max(1);
        for way in 0..ways {
            self.pick_together(way);
            match self.fit(site) {
                Ok(fit) if best.is_none_or(|(best, _)| fit.gpu < best.gpu) => best = Some((fit, way)),
                Ok(_) => {}
                Err(short) => lack = lack.or(Some(short)),
            }
        }
        match (best, lack) {
            (Some((fit, way)), _) => {
                if way + 1 != ways {
                    self.pick_together(way);
                }
                Ok(fit)
            }
            (None, Some(lack)) => Err(lack),
            (None, None) => Err(Lack::Encoder(0)),
        }
    }

    fn pick_together(&mut self, way: usize) {
        let Self { wanted, devices, picks } = self;
        picks.clear();
        picks.extend(wanted.lists.iter().map(|list| {
            let name = list.iter().copied().find(|name| !devices[*name].is_empty())?;
            let gpu = devices[name][way % devices[name].len()];
            Some(Pick { name, gpu })
        }));
    }

    fn has_alternatives(&self) -> bool {
        let count = |list: &Vec<usize>| list.iter().map(|name| self.devices[*name].len()).sum::<usize>();
        self.wanted.lists.iter().any(|list| count(list) > 1)
    }

    /// Rendition by rendition.
    fn choose_apart(&mut self, site: Site<'a, '_>) -> Result<Fit, Lack> {
        for devices in &mut self.devices {
            let used = |gpu: &Option<u32>| gpu.map_or(0.0, |gpu| site.room.gpu_utilization(gpu, site.now));
            devices.sort_by(|a, b| used(a).total_cmp(&used(b)).then(a.cmp(b)));
        }
        self.picks.clear();
        let mut fit = Fit::default();
        for rendition in 0..self.wanted.lists.len() {
            fit = self.choose_one(rendition, site)?;
        }
        Ok(fit)
    }

    /// The first encoder for a rendition that has room beside those chosen before. Of several GPUs the one that the last
    /// rendition is on comes first.
    fn choose_one(&mut self, rendition: usize, site: Site<'a, '_>) -> Result<Fit, Lack> {
        let list = self.wanted.lists[rendition].clone();
        if list.is_empty() {
            self.picks.push(None);
            return self.fit(site);
        }
        let mut lack = None;
        for name in list {
            let last = self.picks.iter().rev().flatten().find(|pick| pick.name == name).copied();
            let others = self.devices[name].clone().into_iter().map(|gpu| Pick { name, gpu });
            for pick in last.into_iter().chain(others.filter(|pick| Some(*pick) != last)) {
                self.picks.push(Some(pick));
                match self.fit(site) {
                    Ok(fit) => return Ok(fit),
                    Err(short) => lack = lack.or(Some(short)),
                }
                self.picks.pop();
            }
        }
        Err(lack.unwrap_or(Lack::Encoder(u32::try_from(rendition).unwrap_or(u32::MAX))))
    }

    fn fit(&mut self, site: Site<'a, '_>) -> Result<Fit, Lack> {
        let cost = self.wanted.price(site.class, &self.picks);
        site.room.fit(cost, site.limit, site.now).map_err(Lack::from)
    }
}
