//! `lama-wasm-pack MODULE.wasm DIRECTORY`: writes the JavaScript around a module. It is what the command-line tool of
//! wasm-bindgen does, at the version that the module was built with, so that nothing has to be installed.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, directory] = arguments.as_slice() else {
        eprintln!("usage: lama-wasm-pack MODULE.wasm DIRECTORY");
        return ExitCode::from(2);
    };
    match pack(module, directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lama-wasm-pack: {error}");
            ExitCode::FAILURE
        }
    }
}

fn pack(module: &str, directory: &str) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .out_name("lama")
        .typescript(true)
        // The optimiser sorts by it, and takes it away.
        .remove_name_section(false)
        .remove_producers_section(true)
        // The module lies beside the script, unless somebody says otherwise.
        .omit_default_module_path(false)
        .web(true)
        .map_err(|error| error.to_string())?;
    bindgen.generate(directory).map_err(|error| format!("{error:#}"))
}
