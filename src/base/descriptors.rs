//! How many files and sockets this process may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit on open files to the hard one, which needs no right, and gives what it is then.
///
/// Systems keep the soft limit at 1024 for programs that use `select(2)`; this one does not.
///
/// # Errors
/// When the system says no; the limit is then as it was.
pub fn raise_limit() -> std::io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = raise_limit().expect("no right is needed");
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("it can be asked");
        assert_eq!((soft, hard), (raised, raised));
        assert_eq!(raise_limit().expect("again"), raised);
    }
}
