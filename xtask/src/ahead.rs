//! What later steps will want for other profiles is compiled while the tests wait for timers, disks and each other.
//!
//! Nothing depends on it: a step builds what it needs as ever, and shows it if that fails. What is there by then it does
//! not build again; what is on its way it waits for, as cargo does for the directory that two builds share.

use std::process::{Child, Command, Stdio};

use crate::run;
use crate::{bindings, icount, suite};

/// Builds that are on their way. They end with this.
pub(crate) struct Ahead {
    builds: Vec<Child>,
}

impl Ahead {
    /// Begins. Each build takes one core, and of that what nobody else wants; where that cannot be said to the system
    /// nothing is built.
    pub(crate) fn start() -> Self {
        let builds: [&[&str]; 4] = [bindings::SHIPPED, suite::RELEASE, icount::BUILD, bindings::SESSIONS];
        let start = |build: &&[&str]| {
            Command::new("nice")
                .args(["-n", "19", &run::cargo_path()])
                .args(*build)
                .args(["--quiet", "--jobs", "1"])
                .current_dir(run::root())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .ok()
        };
        Self { builds: builds.iter().filter_map(start).collect() }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        for build in &mut self.builds {
            // One that has ended already says so, and is no failure.
            let _ = build.kill();
            let _ = build.wait();
        }
    }
}
