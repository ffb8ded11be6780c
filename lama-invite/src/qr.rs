//! The link as a QR code: what a phone scans, for a terminal and for a page.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use qrcode::types::Color;
use qrcode::{EcLevel, QrCode};

use crate::error::InviteError;

/// Light modules that must surround the code on every side (ISO/IEC 18004).
const QUIET: usize = 4;

/// How a terminal shows dark and light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Drawn in the foreground colour, for terminals with light text on a dark background.
    LightOnDark,
    /// Drawn in the foreground colour, for terminals with dark text on a light background.
    DarkOnLight,
    /// With colour escapes (ECMA-48): black on white whatever the terminal's own colours are.
    Ansi,
}

/// A QR code in modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qr {
    dark: Vec<bool>,
    width: usize,
}

impl Qr {
    /// The code of a text, in byte mode. Error correction is at level L, the smallest code: a screen has no
    /// stains, and terminals have 80 columns.
    ///
    /// # Errors
    /// [`InviteError::QrTooLong`] above 2,953 bytes.
    pub fn of(text: &str) -> Result<Self, InviteError> {
        let code =
            QrCode::with_error_correction_level(text, EcLevel::L).map_err(|_| InviteError::QrTooLong)?;
        let width = code.width();
        let dark = code.into_colors().into_iter().map(|color| color == Color::Dark).collect();
        Ok(Self { dark, width })
    }

    /// Modules on a side, without the quiet zone.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Columns that [`Qr::to_terminal`] needs.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.width.saturating_add(2 * QUIET)
    }

    /// Whether the module is dark; `false` in the quiet zone and beyond.
    #[must_use]
    pub fn is_dark(&self, x: usize, y: usize) -> bool {
        let index = y.saturating_mul(self.width).saturating_add(x);
        x < self.width && self.dark.get(index).copied().unwrap_or(false)
    }

    /// Unicode half blocks, two modules to a character, with the quiet zone; each line ends with a line feed.
    #[must_use]
    pub fn to_terminal(&self, style: Style) -> String {
        let side = self.columns();
        // A module of the picture with its quiet zone. `wrapping_sub` leaves the code on the far side.
        let dark = |x: usize, y: usize| self.is_dark(x.wrapping_sub(QUIET), y.wrapping_sub(QUIET));
        let mut out = String::new();
        for y in (0..side).step_by(2) {
            if style == Style::Ansi {
                out.push_str("\x1b[30;107m");
            }
            for x in 0..side {
                // Below an odd last line there is nothing, which must look like the quiet zone.
                let (upper, lower) = (dark(x, y), dark(x, y.saturating_add(1)));
                let ink = |is_dark: bool| is_dark != (style == Style::LightOnDark);
                out.push(match (ink(upper), ink(lower)) {
                    (true, true) => '\u{2588}',
                    (true, false) => '\u{2580}',
                    (false, true) => '\u{2584}',
                    (false, false) => ' ',
                });
            }
            if style == Style::Ansi {
                out.push_str("\x1b[0m");
            }
            out.push('\n');
        }
        out
    }

    /// An SVG document of one path, `module` pixels to a module, with the quiet zone, black on white.
    #[must_use]
    pub fn to_svg(&self, module: u32) -> String {
        let side = self.columns();
        let pixels = u64::from(module).saturating_mul(side as u64);
        let mut path = String::new();
        for y in 0..self.width {
            let mut x = 0;
            while x < self.width {
                let run = (x..self.width).take_while(|x| self.is_dark(*x, y)).count();
                if run > 0 {
                    let (left, top) = (x.saturating_add(QUIET), y.saturating_add(QUIET));
                    path.push_str(&format!("M{left} {top}h{run}v1h-{run}z"));
                }
                x = x.saturating_add(run.max(1));
            }
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{pixels}\" height=\"{pixels}\" \
             viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
             <rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path d=\"{path}\" fill=\"#000\"/></svg>\n"
        )
    }
}
