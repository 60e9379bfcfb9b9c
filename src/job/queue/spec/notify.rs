//! Which events somebody wants to be told of.
//!
//! Knows: BITS' flags and their numbers (NOTIFY-1). Does not know: how anybody is told.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// BITS' notify flags. What is left out of a text keeps its default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "six independent flags, as BITS has them")]
pub struct NotifyFlags {
    /// All files are whole. Default yes.
    pub job_transferred: bool,
    /// The job went into ERROR. Default yes.
    pub job_error: bool,
    /// Nothing at all, whatever the others say. Default no.
    pub disable: bool,
    /// Bytes, files, properties or the state changed. Default no.
    pub job_modification: bool,
    /// One file is whole. Default no.
    pub file_transferred: bool,
    /// Ranges that were asked for are there. Default no.
    pub file_ranges_transferred: bool,
}

impl Default for NotifyFlags {
    fn default() -> Self {
        Self {
            job_transferred: true,
            job_error: true,
            disable: false,
            job_modification: false,
            file_transferred: false,
            file_ranges_transferred: false,
        }
    }
}

impl NotifyFlags {
    /// From BITS' number; `None` if it has a flag that does not exist (NOTIFY-1).
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        if number & !0x3f != 0 {
            return None;
        }
        Some(Self {
            job_transferred: number & 0x01 != 0,
            job_error: number & 0x02 != 0,
            disable: number & 0x04 != 0,
            job_modification: number & 0x08 != 0,
            file_transferred: number & 0x10 != 0,
            file_ranges_transferred: number & 0x20 != 0,
        })
    }

    /// BITS' number.
    #[must_use]
    pub fn number(self) -> u32 {
        u32::from(self.job_transferred)
            | u32::from(self.job_error) << 1
            | u32::from(self.disable) << 2
            | u32::from(self.job_modification) << 3
            | u32::from(self.file_transferred) << 4
            | u32::from(self.file_ranges_transferred) << 5
    }

    /// The flags that count: none if notifications are disabled.
    #[must_use]
    pub const fn effective(self) -> Self {
        if !self.disable {
            return self;
        }
        Self {
            job_transferred: false,
            job_error: false,
            disable: true,
            job_modification: false,
            file_transferred: false,
            file_ranges_transferred: false,
        }
    }
}
