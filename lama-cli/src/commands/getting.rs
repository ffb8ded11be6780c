//! `lama get`: to a folder, or one file to a file or standard output.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use data_encoding::BASE64;
use lama_host::HostError;
use serde_json::Value;

use super::absolute;
use crate::api::{Request, Saved};
use crate::args::{Get, Global};
use crate::backend::Backend;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::start::Network;
use crate::text;

pub(super) fn get(global: &Global, args: &Get, output: Output) -> Result<(), Failure> {
    let mut backend = Backend::open(global, Network::Offline)?;
    let done = match &args.output {
        Some(to) => stream(&mut backend, args, to, output),
        None => write(&mut backend, args, output),
    };
    let closed = backend.close();
    done.and(closed)
}

fn write(backend: &mut Backend, args: &Get, output: Output) -> Result<(), Failure> {
    let into = absolute(args.dest.as_deref().unwrap_or(Path::new(".")))?;
    let request = |force| Request::Get {
        what: args.what.clone(),
        from: args.from.clone(),
        file: args.file.clone(),
        into: into.clone(),
        named: args.dest.is_none(),
        force,
    };
    let first: Result<Saved, Failure> = backend.ask(&request(args.force), &mut |_| {});
    let saved = match first {
        Err(failure) if failure.code == "exists" && may_replace(&failure, output) => {
            backend.ask(&request(true), &mut |_| {})?
        }
        other => other?,
    };
    output.answer(&saved, |saved| {
        let kept = if saved.kept > 0 { format!(", {} there already", saved.kept) } else { String::new() };
        let files = text::count(saved.files, "file");
        format!("{files} ({}{kept}) in {}\n", text::bytes(saved.bytes), saved.into)
    });
    Ok(())
}

/// Asks, where somebody can answer.
fn may_replace(failure: &Failure, output: Output) -> bool {
    if output.is_json() || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return false;
    }
    let _ = write!(std::io::stderr(), "{}\nreplace what is there? [y/N] ", text::escape(&failure.message));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// One file, chunk by chunk.
fn stream(backend: &mut Backend, args: &Get, to: &Path, output: Output) -> Result<(), Failure> {
    let (start, end) = args.range.unwrap_or((0, None));
    let (what, from, file) = (args.what.clone(), args.from.clone(), args.file.clone());
    let request = Request::Read { what, from, file, start, end };
    let is_stdout = to == Path::new("-");
    let mut sink: Box<dyn Write> = if is_stdout {
        Box::new(std::io::stdout().lock())
    } else {
        let mut options = OpenOptions::new();
        options.write(true).create_new(!args.force).create(true).truncate(true).mode(0o600);
        Box::new(options.open(to).map_err(|error| HostError::io("write", to, &error))?)
    };
    let mut failed = None;
    let saved: Saved = backend.ask(&request, &mut |event: &Value| {
        let data = event.get("data").and_then(Value::as_str).unwrap_or_default();
        let written = BASE64
            .decode(data.as_bytes())
            .map_err(|error| std::io::Error::other(error.to_string()))
            .and_then(|bytes| sink.write_all(&bytes));
        if let (Err(error), None) = (written, &failed) {
            failed = Some(HostError::io("write", to, &error));
        }
    })?;
    let flushed = sink.flush().map_err(|error| HostError::io("write", to, &error));
    if let Some(error) = failed {
        return Err(error.into());
    }
    flushed?;
    let wanted = end.map(|end| end.saturating_sub(start));
    if wanted.is_some_and(|wanted| saved.bytes < wanted) && saved.bytes == 0 {
        let text = format!("the file ends before byte {start}; ask for an earlier part");
        return Err(Failure::new(Exit::RefusedByRule, "beyond_end", text));
    }
    if !is_stdout {
        let into = to.display().to_string();
        output.answer(&Saved { into, ..saved }, |saved| {
            format!("{} in {}\n", text::bytes(saved.bytes), saved.into)
        });
    }
    Ok(())
}
