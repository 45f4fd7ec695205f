//! Postgres refuses to run as root. Root therefore runs it in a user namespace that maps root to
//! somebody else (files stay root's, nothing is chowned) or, where namespaces are not allowed, as
//! the real user `nobody`, who is then given the data directory.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User, geteuid};

use crate::error::{Context, Error};
use crate::find;

/// `nobody` on every Linux.
const NOBODY: u32 = 65534;

/// Makes root use `nobody` even where user namespaces work; for the tests of this crate.
pub(crate) const NO_NAMESPACE_VAR: &str = "OMS_ENGINES_NO_USER_NAMESPACE";

/// As whom Postgres runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunAs {
    /// As we are: not root.
    Ourselves,
    /// Root outside, `nobody` inside a user namespace.
    Namespace,
    /// A real user.
    Other {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
}

impl RunAs {
    /// Decides for a data directory that may exist: whoever owns it keeps it.
    pub(crate) fn choose(data: &Path) -> Result<Self, Error> {
        if !geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        if let Ok(meta) = fs::metadata(data)
            && meta.uid() != 0
        {
            return Ok(Self::Other {
                uid: meta.uid(),
                gid: meta.gid(),
            });
        }
        if std::env::var_os(NO_NAMESPACE_VAR).is_none() && namespaces_work() {
            return Ok(Self::Namespace);
        }
        if find::program("setpriv").is_none() {
            return Err(Error::Program {
                program: "setpriv".to_owned(),
                message: "Postgres refuses to run as root, this system allows no user namespaces, \
                          and setpriv (package util-linux) is not installed; run as another user"
                    .to_owned(),
            });
        }
        let nobody = User::from_uid(Uid::from_raw(NOBODY)).ok().flatten();
        let gid = nobody.map_or(NOBODY, |user| user.gid.as_raw());
        Ok(Self::Other { uid: NOBODY, gid })
    }

    /// Refuses a directory that the user cannot reach, with a message that says what to do.
    pub(crate) fn check_reach(&self, dir: &Path) -> Result<(), Error> {
        let Self::Other { uid, gid } = self else {
            return Ok(());
        };
        for ancestor in dir.ancestors() {
            let meta = fs::metadata(ancestor).doing("find", ancestor)?;
            let may_pass = match (meta.uid() == *uid, meta.gid() == *gid) {
                (true, _) => meta.mode() & 0o100,
                (false, true) => meta.mode() & 0o010,
                (false, false) => meta.mode() & 0o001,
            };
            if may_pass == 0 {
                return Err(Error::Unreachable {
                    dir: dir.to_owned(),
                    barrier: ancestor.to_owned(),
                    uid: *uid,
                });
            }
        }
        Ok(())
    }

    /// Gives a new directory to the user.
    pub(crate) fn give(&self, dir: &Path) -> Result<(), Error> {
        match self {
            Self::Ourselves | Self::Namespace => Ok(()),
            Self::Other { uid, gid } => chown(dir, Some(*uid), Some(*gid)).doing("chown", dir),
        }
    }

    /// The arguments that run `argv` as this user. The wrappers replace themselves by the program,
    /// so the process id stays the one that was started.
    pub(crate) fn wrap(&self, argv: Vec<OsString>) -> Vec<OsString> {
        let wrapper: Vec<OsString> = match self {
            Self::Ourselves => return argv,
            Self::Namespace => namespace_argv(),
            Self::Other { uid, gid } => vec![
                "setpriv".into(),
                format!("--reuid={uid}").into(),
                format!("--regid={gid}").into(),
                "--clear-groups".into(),
                "--".into(),
            ],
        };
        wrapper.into_iter().chain(argv).collect()
    }
}

fn namespace_argv() -> Vec<OsString> {
    let ids = [
        format!("--map-user={NOBODY}"),
        format!("--map-group={NOBODY}"),
    ];
    let [user, group] = ids.map(OsString::from);
    vec!["unshare".into(), "--user".into(), user, group, "--".into()]
}

fn namespaces_work() -> bool {
    let mut argv = namespace_argv().into_iter();
    let Some(program) = argv.next() else {
        return false;
    };
    Command::new(program)
        .args(argv)
        .arg("true")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
