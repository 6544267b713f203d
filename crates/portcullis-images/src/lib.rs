//! Pictures as files: which sizes there are, what a file really is, how it becomes another, where it is kept.
//!
//! Knows: pixels, formats, a private directory. Does not know: who draws, HTTP. Nothing here believes a name, a
//! declared type or a declared size: a picture is what its own bytes say.

mod convert;
mod data_url;
mod measure;
mod shelf;
mod size;

pub use convert::{Fit, FitHow, Processed, Target, process};
pub use data_url::{NotADataUrl, decode_data_url};
pub use measure::{Measured, PictureFault, measure};
pub use shelf::{Kept, NewKept, Overseen, Overview, Shelf, ShelfError, ShelfLimits};
pub use size::{
    LARGEST_EDGE, LEAST_PIXELS, MOST_PIXELS, MULTIPLE, Ratio, Resolution, Size, SizeFault, SizeMatch,
    derive_size,
};
