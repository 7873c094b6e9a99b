//! The driver's library (NVML), opened at run time. Only the thread that is made for it calls it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use super::Device;
use crate::placement::load;
use crate::wire::report::{Gpu, GpuLoad};

/// When a library that told of GPUs, and tells of none now, is opened anew: it does not see by itself that a driver was
/// loaded again.
const REOPEN_AFTER: Duration = Duration::from_secs(5);
/// When one that never told of any is tried again. Without a driver each try starts a program of NVIDIA's that loads one.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Bytes of a name or identifier that are kept.
const MAX_NAME_BYTES: usize = 64;

/// The library, open or not.
#[derive(Debug)]
pub(super) struct Driver {
    library: PathBuf,
    nvml: Option<Nvml>,
    /// Whether it ever told of a GPU.
    has_worked: bool,
    /// Not opened before that.
    not_before: Option<Instant>,
}

impl Driver {
    /// The library at a path, or of a name that the system's loader finds. Nothing is opened yet.
    pub(super) fn new(library: PathBuf) -> Self {
        Self { library, nvml: None, has_worked: false, not_before: None }
    }

    /// The GPUs that answer, and what they are doing. May take as long as the driver likes.
    pub(super) fn devices(&mut self, now: Instant) -> Vec<Device> {
        if self.nvml.is_none() && self.not_before.is_none_or(|at| now >= at) {
            self.nvml = self.open();
        }
        let devices = self.nvml.as_ref().map(devices).unwrap_or_default();
        if !devices.is_empty() {
            self.has_worked = true;
        } else if self.nvml.take().is_some() || self.not_before.is_none_or(|at| now >= at) {
            let wait = if self.has_worked { REOPEN_AFTER } else { LOOK_AGAIN_AFTER };
            self.not_before = Some(now + wait);
        }
        devices
    }

    /// The library, if it is there and finds a driver.
    fn open(&self) -> Option<Nvml> {
        let opened = Nvml::builder().lib_path(self.library.as_os_str()).init();
        // Most machines have no GPU: that is no news.
        let told = |error: &NvmlError| tracing::debug!(library = %self.library.display(), %error, "no GPU is told of");
        opened.inspect_err(told).ok()
    }
}

/// The GPUs that answer, by index.
fn devices(nvml: &Nvml) -> Vec<Device> {
    let count = match nvml.device_count() {
        Ok(count) => count.min(load::MAX_GPU_INDEX + 1),
        Err(error) => {
            tracing::debug!(%error, "GPUs cannot be counted");
            0
        }
    };
    let look = |index| {
        let told = |error: &NvmlError| tracing::debug!(index, %error, "a GPU cannot be looked at");
        device(nvml, index).inspect_err(told).ok()
    };
    // A proxy takes no node with more.
    (0..count).filter_map(look).take(load::MAX_GPUS).collect()
}

/// One GPU.
///
/// # Errors
/// When it is not there any more, or not of use. What it merely has not is zero, or `None`: GPUs for laptops measure no
/// power, those for computing have no encoder, a part of one (MIG) has no utilisation of its own.
fn device(nvml: &Nvml, index: u32) -> Result<Device, NvmlError> {
    let device = nvml.device_by_index(index)?;
    let name = load::printable(told(device.name())?.as_deref().unwrap_or("GPU"), MAX_NAME_BYTES);
    // Parts of one GPU that were handed to containers may all say the same; then the index tells them apart.
    let id = told(device.uuid())?
        .map_or_else(|| format!("{index} {name}"), |id| load::printable(&id, MAX_NAME_BYTES));
    // What the driver keeps for itself is of use to nobody else.
    let memory = told(device.memory_info())?;
    let (memory_used, memory_total) =
        memory.map_or((0, 0), |memory| (memory.total.saturating_sub(memory.free), memory.total));
    let load = GpuLoad {
        index,
        name: name.clone(),
        utilization: share(told(device.utilization_rates())?.map(|rates| rates.gpu)),
        encoder: share(told(device.encoder_utilization())?.map(|encoder| encoder.utilization)),
        decoder: share(told(device.decoder_utilization())?.map(|decoder| decoder.utilization)),
        memory_used,
        memory_total,
        power_w: told(device.power_usage())?.map(|milliwatts| f64::from(milliwatts) / 1000.0),
        sessions: sessions(&device)?,
    };
    // The limit of GPUs for consumers is the driver's secret: it shows when an encoder cannot be opened.
    Ok(Device { id, gpu: Gpu { index, name, memory: memory_total, sessions: None }, load })
}

/// Encoder sessions. The list of them fails on sessions of a codec that the wrapper does not know, so it comes second.
fn sessions(device: &nvml_wrapper::Device<'_>) -> Result<u32, NvmlError> {
    if let Some(stats) = told(device.encoder_stats())? {
        return Ok(stats.session_count);
    }
    let list = told(device.encoder_sessions())?.unwrap_or_default();
    Ok(u32::try_from(list.len()).unwrap_or(u32::MAX))
}

/// What was told; `None` where this GPU or this driver does not tell it.
///
/// # Errors
/// When nothing more can be expected of this GPU or of the driver.
fn told<T>(answer: Result<T, NvmlError>) -> Result<Option<T>, NvmlError> {
    let is_over = |error: &NvmlError| {
        use NvmlError::{
            DriverNotLoaded, GpuLost, InsufficientPower, IrqIssue, LibRmVersionMismatch, NotFound,
            ResetRequired, Uninitialized,
        };
        matches!(
            error,
            DriverNotLoaded
                | GpuLost
                | InsufficientPower
                | IrqIssue
                | LibRmVersionMismatch
                | NotFound
                | ResetRequired
                | Uninitialized
        )
    };
    match answer {
        Ok(told) => Ok(Some(told)),
        Err(error) if is_over(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Percent, of which a driver once said more than a hundred.
fn share(percent: Option<u32>) -> f64 {
    f64::from(percent.unwrap_or_default().min(100)) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_gpu_does_not_tell_is_missed_and_a_gpu_that_is_lost_is_gone() {
        assert_eq!(told(Ok(7)).unwrap(), Some(7));
        let missed = |error| assert!(matches!(told::<u32>(Err(error)), Ok(None)));
        missed(NvmlError::NotSupported);
        missed(NvmlError::NoPermission);
        missed(NvmlError::FailedToLoadSymbol("nvmlDeviceGetMemoryInfo_v2".into()));
        missed(NvmlError::UnexpectedVariant(2));
        missed(NvmlError::Unknown);
        assert!(told::<u32>(Err(NvmlError::GpuLost)).is_err());
        assert!(told::<u32>(Err(NvmlError::NotFound)).is_err());
    }

    #[test]
    fn shares_are_within_bounds() {
        assert_eq!((share(None), share(Some(50)), share(Some(4000))), (0.0, 0.5, 1.0));
    }

    #[test]
    fn a_library_that_is_not_there_is_not_looked_for_all_the_time() {
        let mut driver = Driver::new("/nonexistent/libnvidia-ml.so.1".into());
        let start = crate::base::clock::now();
        assert_eq!(driver.devices(start), []);
        let again = driver.not_before.unwrap();
        assert_eq!(again - start, LOOK_AGAIN_AFTER);
        assert_eq!(driver.devices(start + Duration::from_secs(1)), []);
        assert_eq!(driver.not_before, Some(again));
        assert_eq!(driver.devices(again), []);
        assert_eq!(driver.not_before, Some(again + LOOK_AGAIN_AFTER));
    }
}
