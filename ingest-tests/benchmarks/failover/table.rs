//! The table of results.

use std::time::Duration;

use super::fault::Fault;

/// What one fault did.
pub struct Row {
    /// Where in a GOP it was.
    pub percent: u32,
    /// From the fault until it was noticed.
    pub detection: Option<Duration>,
    /// From the fault until the output was where it would have been.
    pub recovery: Option<Duration>,
}

/// All rows of each kind, with the frames accepted, lost and committed twice.
#[derive(Default)]
pub struct Table(Vec<(Fault, Vec<Row>, [u64; 3])>);

impl Table {
    pub fn add(&mut self, fault: Fault, rows: Vec<Row>, counters: [u64; 3]) {
        self.0.push((fault, rows, counters));
    }

    pub fn print(&self) {
        println!(
            "\n| fault | faults | frames | lost | twice | detection p50 | p99 | max | recovery p50 | p99 | max |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|");
        for (fault, rows, [frames, lost, twice]) in &self.0 {
            let detection = quantiles(rows.iter().map(|row| row.detection));
            let recovery = quantiles(rows.iter().map(|row| row.recovery));
            println!("| {fault} | {} | {frames} | {lost} | {twice} | {detection} | {recovery} |", rows.len());
        }
        for (fault, rows, _) in &self.0 {
            for percent in super::PLACES {
                let placed = rows.iter().filter(|row| row.percent == percent);
                let recovery = quantiles(placed.map(|row| row.recovery));
                println!("{fault} at {percent} % of a GOP: recovery {recovery}");
            }
        }
    }
}

/// p50, p99 and max, in milliseconds. What never ended is told.
fn quantiles(values: impl Iterator<Item = Option<Duration>>) -> String {
    let values: Vec<Option<Duration>> = values.collect();
    let mut known: Vec<Duration> = values.iter().flatten().copied().collect();
    known.sort_unstable();
    let never = values.len() - known.len();
    let at = |share: usize| {
        let index = (known.len() * share / 100).min(known.len().saturating_sub(1));
        known.get(index).map_or("-".to_owned(), |value| format!("{} ms", value.as_millis()))
    };
    let more = if never > 0 { format!(" ({never} never)") } else { String::new() };
    format!("{} | {} | {}{more}", at(50), at(99), at(100))
}
