//! A number for a text that looks random and is the same for the same seed. It is no safeguard: who knows the seed can make two
//! texts with one number.

/// FNV-1a's first state and SplitMix64's increment: numbers with nothing up their sleeves.
const START: u64 = 0xCBF2_9CE4_8422_2325;
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Eight bytes at a time as FNV-1a (Fowler, Noll, Vo) takes one, its bits mixed by the last step of SplitMix64.
#[must_use]
pub fn text_hash(seed: u64, text: &str) -> u64 {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    // Texts that differ only in zeros at their end differ in length.
    let start = START ^ seed ^ (text.len() as u64).wrapping_mul(STEP);
    let words = words.iter().chain([&last]);
    mixed(words.fold(start, |hash, word| mixed_once(hash ^ u64::from_le_bytes(*word))))
}

/// A multiplication carries bits upwards only.
fn mixed_once(bits: u64) -> u64 {
    let product = bits.wrapping_mul(STEP);
    product ^ (product >> 32)
}

fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_seeds_and_lengths_make_a_difference() {
        let texts =
            ["", "\0", "\0\0", "a", "node-1", "node-2", "12345678", "12345678\0", "123456789", "876543210"];
        let mut numbers: Vec<u64> =
            texts.iter().flat_map(|text| [text_hash(0, text), text_hash(1, text)]).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), texts.len() * 2);
        assert_eq!(text_hash(7, "node-1"), text_hash(7, &String::from("node-1")));
    }

    #[test]
    fn each_bit_is_set_for_about_half_of_all_names() {
        let numbers: Vec<u64> = (0..4096).map(|n| text_hash(3, &format!("node-{n}.example"))).collect();
        for bit in 0..64 {
            let set = numbers.iter().filter(|number| *number >> bit & 1 == 1).count();
            assert!((1848..2248).contains(&set), "bit {bit} is set {set} times of 4096");
        }
    }
}
