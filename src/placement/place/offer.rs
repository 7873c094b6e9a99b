//! What a node's capabilities offer to a demand. Most nodes have the same as the one before, by the same list or by one that
//! says the same, so it is read in one pass that compares only names of the right length.

use super::explanation::Lack;
use super::wanted::Wanted;
use crate::ffmpeg::capability::Carriage;
use crate::placement::demand::Demand;
use crate::placement::room::Devices;
use crate::wire::report::{Capabilities, EncoderOn};

/// What one node offers; each node's takes the place of that before.
#[derive(Debug)]
pub(super) struct Offer<'a> {
    of: Option<&'a Capabilities>,
    /// The first part of the input that it does not read or decode.
    pub(super) media: Option<Lack>,
    /// For each encoder that is wanted, the devices on which the node has it.
    pub(super) devices: Vec<Devices>,
    /// The first rendition for which it has no encoder.
    pub(super) without: Option<usize>,
    /// The lengths that wanted names have: a bit for each, the last one for all that are longer.
    lengths: u64,
}

impl<'a> Offer<'a> {
    pub(super) fn new(wanted: &Wanted<'_>) -> Self {
        let lengths = wanted.names.iter().fold(0, |lengths, name| lengths | length_bit(name));
        Self {
            of: None,
            media: None,
            devices: vec![Devices::default(); wanted.names.len()],
            without: None,
            lengths,
        }
    }

    /// A number of each line that is read of these capabilities, put together ([`crate::placement::room::Room::touch`]).
    #[inline]
    pub(super) fn touch(&self, capabilities: &Capabilities) -> u64 {
        if self.of.is_some_and(|before| std::ptr::eq(before, capabilities)) {
            return 0;
        }
        let first = |carriages: &[Carriage]| {
            u64::from(carriages.first().is_some_and(|first| *first == Carriage::H264))
        };
        let lists = first(&capabilities.reads) ^ first(&capabilities.decodes);
        let matching = |on: &&EncoderOn| self.lengths & length_bit(&on.encoder) != 0;
        let names = capabilities.encoders.iter().filter(matching);
        names.fold(lists, |sum, on| sum ^ on.encoder.as_bytes().first().copied().map_or(0, u64::from))
    }

    /// Reads what these capabilities offer.
    pub(super) fn read(&mut self, capabilities: &'a Capabilities, demand: &Demand, wanted: &Wanted<'_>) {
        if let Some(before) = self.of {
            if std::ptr::eq(before, capabilities) {
                return;
            }
            if before.reads != capabilities.reads || before.decodes != capabilities.decodes {
                self.media = media_lack(capabilities, demand);
            }
        } else {
            self.media = media_lack(capabilities, demand);
        }
        self.of = Some(capabilities);
        self.devices.fill(Devices::default());
        for on in &capabilities.encoders {
            if self.lengths & length_bit(&on.encoder) != 0
                && let Some(at) = wanted.names.iter().position(|name| *name == on.encoder)
            {
                self.devices[at].insert(on.gpu);
            }
        }
        let has_none = |list: &Vec<usize>| list.iter().all(|name| self.devices[*name].is_empty());
        self.without = wanted.lists.iter().position(|list| !list.is_empty() && has_none(list));
    }
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
