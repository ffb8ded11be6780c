//! What this machine says of itself: room on its disks, and who listens at a port.

use std::path::Path;

use crate::HostError;

/// Bytes that the user may still write to the file system of `path`.
///
/// # Errors
/// [`HostError::Io`].
pub fn free_space(path: &Path) -> Result<u64, HostError> {
    let about = rustix::fs::statvfs(path)
        .map_err(|error| HostError::io("ask the file system of", path, &error.into()))?;
    Ok(about.f_bavail.saturating_mul(about.f_frsize))
}

/// The programs that listen at a TCP port, as `name (process id)`, as far as this user may know. Empty: nobody, somebody
/// else's program, or a system that does not tell.
#[must_use]
pub fn listeners(port: u16) -> Vec<String> {
    #[cfg(target_os = "linux")]
    return linux::listeners(port);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = port;
        Vec::new()
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::path::Path;

    /// The state of a listening socket in `/proc/net/tcp`.
    const LISTEN: &str = "0A";

    pub(super) fn listeners(port: u16) -> Vec<String> {
        let mut sockets = Vec::new();
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            let rows = fs::read_to_string(table).unwrap_or_default();
            sockets.extend(rows.lines().filter_map(|row| inode(row, port)));
        }
        let mut found: Vec<String> = Vec::new();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let path = process.path();
            if holds(&path, &sockets) {
                let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
                found.push(format!("{} ({})", name.trim(), process.file_name().to_string_lossy()));
            }
        }
        found
    }

    /// The inode of the socket in this row, if it listens at the port.
    fn inode(row: &str, port: u16) -> Option<String> {
        let mut fields = row.split_whitespace();
        let (_, at) = fields.nth(1)?.rsplit_once(':')?;
        let listens = u16::from_str_radix(at, 16).ok()? == port && fields.nth(1)? == LISTEN;
        listens.then(|| fields.nth(5).map(|inode| format!("socket:[{inode}]")))?
    }

    fn holds(process: &Path, sockets: &[String]) -> bool {
        let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        open.filter_map(|file| fs::read_link(file.path()).ok())
            .any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_somewhere() {
        let temp = tempfile::tempdir().unwrap();
        assert!(free_space(temp.path()).unwrap() > 0);
        assert!(free_space(&temp.path().join("nothing")).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_program_is_found_at_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let id = format!("({})", std::process::id());
        assert!(listeners(port).iter().any(|program| program.ends_with(&id)), "{:?}", listeners(port));
        drop(listener);
        assert_eq!(listeners(port), Vec::<String>::new());
    }
}
