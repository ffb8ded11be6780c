//! What a service manager is told: systemd's protocol of readiness, which others speak too.

/// Tells the service manager a state such as `READY=1`, if there is one that wants to know (`NOTIFY_SOCKET`). Who cannot be
/// told is not: nothing here depends on it.
pub fn notify(state: &str) {
    let Some(address) = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else {
        return;
    };
    let Ok(socket) = std::os::unix::net::UnixDatagram::unbound() else { return };
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::net::SocketAddr;
        if let Some(name) = address.as_bytes().strip_prefix(b"@") {
            if let Ok(address) = SocketAddr::from_abstract_name(name) {
                let _ = socket.send_to_addr(state.as_bytes(), &address);
            }
            return;
        }
    }
    let _ = socket.send_to(state.as_bytes(), std::path::Path::new(&address));
}
