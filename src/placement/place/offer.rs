//! What nodes' capabilities offer to a demand. A list that was just read is known by its address; another one is read in a
//! pass that compares only names of the right length.

use super::explanation::Lack;
use super::wanted::Wanted;
use crate::ffmpeg::capability::Carriage;
use crate::placement::demand::Demand;
use crate::placement::room::Devices;
use crate::wire::report::{Capabilities, EncoderOn};

/// So many of the lists read last are known by their address. In a fleet nodes share lists that say the same, and there are
/// few kinds of them.
const RECENT: usize = 4;

/// What nodes offer, one after the other.
#[derive(Debug)]
pub(super) struct Offers<'a> {
    recent: Vec<(&'a Capabilities, Offer)>,
    /// Which was asked for last, and which was read last.
    last: usize,
    newest: usize,
    /// The lengths that wanted names have: a bit for each, the last one for all that are longer.
    lengths: u64,
}

/// What one node offers.
#[derive(Clone, Debug, Default)]
pub(super) struct Offer {
    /// The first part of the input that it does not read or decode.
    pub(super) media: Option<Lack>,
    /// For each encoder that is wanted, the devices on which the node has it.
    pub(super) devices: Vec<Devices>,
    /// The first rendition for which it has no encoder.
    pub(super) without: Option<usize>,
}

impl<'a> Offers<'a> {
    pub(super) fn new(wanted: &Wanted<'_>) -> Self {
        let lengths = wanted.names.iter().fold(0, |lengths, name| lengths | length_bit(name));
        Self { recent: Vec::new(), last: 0, newest: 0, lengths }
    }

    /// A number of each line that is read of these capabilities, put together ([`crate::placement::room::Room::touch`]).
    #[inline]
    pub(super) fn touch(&self, capabilities: &Capabilities) -> u64 {
        if self.place(capabilities).is_some() {
            return 0;
        }
        let first = |carriages: &[Carriage]| u64::from(carriages.first() == Some(&Carriage::H264));
        let lists = first(&capabilities.reads) ^ first(&capabilities.decodes);
        let matching = |on: &&EncoderOn| self.lengths & length_bit(&on.encoder) != 0;
        let names = capabilities.encoders.iter().filter(matching);
        names.fold(lists, |sum, on| sum ^ on.encoder.as_bytes().first().copied().map_or(0, u64::from))
    }

    /// What these capabilities offer.
    #[inline]
    pub(super) fn read(
        &mut self,
        capabilities: &'a Capabilities,
        demand: &Demand,
        wanted: &Wanted<'_>,
    ) -> &Offer {
        self.last = match self.place(capabilities) {
            Some(place) => place,
            None => self.read_anew(capabilities, demand, wanted),
        };
        &self.recent[self.last].1
    }

    #[inline]
    fn place(&self, capabilities: &Capabilities) -> Option<usize> {
        let is_it = |at: &usize| self.recent.get(*at).is_some_and(|(of, _)| std::ptr::eq(*of, capabilities));
        Some(self.last).filter(is_it).or_else(|| (0..self.recent.len()).find(is_it))
    }

    /// In the place of the oldest if there are too many.
    fn read_anew(&mut self, capabilities: &'a Capabilities, demand: &Demand, wanted: &Wanted<'_>) -> usize {
        let alike = self.recent.get(self.last).filter(|(of, _)| reads_alike(of, capabilities));
        let media = alike.map_or_else(|| media_lack(capabilities, demand), |(_, offer)| offer.media);
        if self.recent.len() < RECENT {
            self.recent.push((capabilities, Offer::default()));
            self.newest = self.recent.len() - 1;
        } else {
            self.newest = (self.newest + 1) % RECENT;
        }
        let lengths = self.lengths;
        let (of, offer) = &mut self.recent[self.newest];
        (*of, offer.media) = (capabilities, media);
        offer.read_encoders(&capabilities.encoders, lengths, wanted);
        self.newest
    }
}

impl Offer {
    fn read_encoders(&mut self, encoders: &[EncoderOn], lengths: u64, wanted: &Wanted<'_>) {
        self.devices.clear();
        self.devices.resize(wanted.names.len(), Devices::default());
        for on in encoders {
            if lengths & length_bit(&on.encoder) != 0
                && let Some(at) = wanted.names.iter().position(|name| *name == on.encoder)
            {
                self.devices[at].insert(on.gpu);
            }
        }
        let has_none = |list: &Vec<usize>| list.iter().all(|name| self.devices[*name].is_empty());
        self.without = wanted.lists.iter().position(|list| !list.is_empty() && has_none(list));
    }
}

fn reads_alike(a: &Capabilities, b: &Capabilities) -> bool {
    a.reads == b.reads && a.decodes == b.decodes
}

fn length_bit(name: &str) -> u64 {
    1 << name.len().min(63)
}

fn media_lack(capabilities: &Capabilities, demand: &Demand) -> Option<Lack> {
    let unread = demand.reads.iter().find(|carriage| !capabilities.reads.contains(carriage));
    let undecoded = || demand.decodes.iter().find(|carriage| !capabilities.decodes.contains(carriage));
    let unread = unread.map(|carriage| Lack::Read(*carriage));
    unread.or_else(|| undecoded().map(|carriage| Lack::Decode(*carriage)))
}
