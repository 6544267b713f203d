//! The published rules of picture sizes, and sizes derived from a shape. Pure.

use std::fmt;
use std::str::FromStr;

/// The longest edge, in pixels.
pub const LARGEST_EDGE: u32 = 3840;
/// What both edges are multiples of.
pub const MULTIPLE: u32 = 16;
/// The fewest pixels.
pub const LEAST_PIXELS: u64 = 655_360;
/// The most pixels.
pub const MOST_PIXELS: u64 = 8_294_400;
/// The longer edge may be so many times the shorter.
const STEEPEST: u32 = 3;

/// A size that the rules allow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    width: u32,
    height: u32,
}

/// Why a size is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SizeFault {
    /// It is not `WIDTHxHEIGHT`.
    #[error("a size is 'auto' or 'WIDTHxHEIGHT', such as '1536x1024'")]
    Shape,
    /// An edge is too long.
    #[error("the longest edge of a picture is at most {LARGEST_EDGE} pixels")]
    Edge,
    /// An edge is no multiple.
    #[error("both edges of a picture are multiples of {MULTIPLE}")]
    Multiple,
    /// It is too long for its width.
    #[error("a picture's edges are at most {STEEPEST}:1")]
    Ratio,
    /// Too few or too many pixels.
    #[error("a picture has from {LEAST_PIXELS} to {MOST_PIXELS} pixels")]
    Pixels,
}

impl Size {
    /// Checks a size by the rules.
    pub fn new(width: u32, height: u32) -> Result<Self, SizeFault> {
        let (long, short) = (width.max(height), width.min(height));
        let pixels = u64::from(width) * u64::from(height);
        if long > LARGEST_EDGE {
            Err(SizeFault::Edge)
        } else if short == 0 || !width.is_multiple_of(MULTIPLE) || !height.is_multiple_of(MULTIPLE) {
            Err(SizeFault::Multiple)
        } else if long > short * STEEPEST {
            Err(SizeFault::Ratio)
        } else if !(LEAST_PIXELS..=MOST_PIXELS).contains(&pixels) {
            Err(SizeFault::Pixels)
        } else {
            Ok(Self { width, height })
        }
    }

    /// Width and height in pixels.
    pub fn pixels(self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// How a picture of this width and height answers a wish for this size.
    pub fn compare(self, width: u32, height: u32) -> SizeMatch {
        if (width, height) == (self.width, self.height) {
            return SizeMatch::Exact;
        }
        // The same shape within one part in a hundred: encoders round edges.
        let (wanted, got) =
            (u64::from(self.width) * u64::from(height), u64::from(width) * u64::from(self.height));
        if wanted.abs_diff(got) * 100 <= wanted { SizeMatch::Aspect } else { SizeMatch::No }
    }
}

impl FromStr for Size {
    type Err = SizeFault;

    fn from_str(text: &str) -> Result<Self, SizeFault> {
        let (width, height) = text.split_once(['x', 'X', '×']).ok_or(SizeFault::Shape)?;
        let edge = |text: &str| {
            let digits =
                !text.is_empty() && text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u32>().ok()).flatten().ok_or(SizeFault::Shape)
        };
        Self::new(edge(width.trim())?, edge(height.trim())?)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// How a picture answers a wish for a size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SizeMatch {
    /// It has it.
    Exact,
    /// It has its shape.
    Aspect,
    /// It has another.
    No,
}

impl SizeMatch {
    /// As a short permanent word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Aspect => "aspect",
            Self::No => "no",
        }
    }
}

/// The shape of a picture: width to height, neither of them nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ratio {
    width: u32,
    height: u32,
}

impl Ratio {
    /// A shape; none where an edge is nothing or absurd.
    pub fn new(width: u32, height: u32) -> Option<Self> {
        let sane = 1..=1_000_000;
        (sane.contains(&width) && sane.contains(&height)).then_some(Self { width, height })
    }

    /// No steeper than the rules allow.
    fn clamped(self) -> Self {
        if self.width > self.height.saturating_mul(STEEPEST) {
            Self { width: STEEPEST, height: 1 }
        } else if self.height > self.width.saturating_mul(STEEPEST) {
            Self { width: 1, height: STEEPEST }
        } else {
            self
        }
    }
}

impl FromStr for Ratio {
    type Err = SizeFault;

    /// `16:9`.
    fn from_str(text: &str) -> Result<Self, SizeFault> {
        let (width, height) = text.split_once([':', '：', '/']).ok_or(SizeFault::Shape)?;
        let part = |text: &str| text.trim().parse::<u32>().map_err(|_not_a_number| SizeFault::Shape);
        Self::new(part(width)?, part(height)?).ok_or(SizeFault::Shape)
    }
}

/// How large a size that is derived from a shape becomes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resolution {
    /// About a megapixel, no edge over 1536.
    OneK,
    /// At most 2048 squared, no edge over 2048.
    TwoK,
    /// All that the rules allow.
    FourK,
}

impl Resolution {
    fn caps(self) -> (u64, u32) {
        match self {
            Self::OneK => (1024 * 1536, 1536),
            Self::TwoK => (2048 * 2048, 2048),
            Self::FourK => (MOST_PIXELS, LARGEST_EDGE),
        }
    }
}

/// The largest size of this shape and resolution that the rules allow. Edges are rounded down, so that a shape which
/// has no exact size gets the nearest below.
pub fn derive_size(ratio: Ratio, resolution: Resolution) -> Size {
    let Ratio { width, height } = ratio.clamped();
    let (most_pixels, largest_edge) = resolution.caps();
    // From the long edge down, the first that holds; the long edge decides the other.
    let (long, short) = (u64::from(width.max(height)), u64::from(width.min(height)));
    let sizes = (1..=largest_edge / MULTIPLE).rev().filter_map(|steps| {
        let edge = steps * MULTIPLE;
        let other = u32::try_from(u64::from(edge) * short / long).ok()? / MULTIPLE * MULTIPLE;
        let (width, height) = if width >= height { (edge, other) } else { (other, edge) };
        let size = Size::new(width, height).ok()?;
        (u64::from(width) * u64::from(height) <= most_pixels).then_some(size)
    });
    // The rules have a size for every shape from 1:3 to 3:1; rounding down can cross the last step.
    sizes.into_iter().next().unwrap_or(Size { width: 1024, height: 1024 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_published_sizes_hold_and_others_have_their_reason() {
        for size in [
            "1024x1024",
            "1536x1024",
            "1024x1536",
            "2048x2048",
            "2048x1152",
            "1152x2048",
            "3840x2160",
            "2160x3840",
            "2880x2880",
            "1024×1024",
        ] {
            assert_eq!(size.parse::<Size>().unwrap().to_string(), size.replace('×', "x"));
        }
        let table = [
            ("3856x1600", SizeFault::Edge),
            ("1000x1024", SizeFault::Multiple),
            ("0x1024", SizeFault::Multiple),
            ("3200x1040", SizeFault::Ratio),
            ("512x512", SizeFault::Pixels),
            ("3840x3840", SizeFault::Pixels),
        ];
        for (size, fault) in table {
            assert_eq!(size.parse::<Size>(), Err(fault), "{size}");
        }
        for size in ["", "x", "1024", "1024x", "-16x16", "1e3x16", "+16x16", "99999999999x16", "1024x1024x16"]
        {
            assert_eq!(size.parse::<Size>(), Err(SizeFault::Shape), "{size}");
        }
    }

    #[test]
    fn derived_sizes_are_the_published_ones() {
        let derived = |ratio: &str, resolution| derive_size(ratio.parse().unwrap(), resolution).to_string();
        assert_eq!(derived("16:9", Resolution::FourK), "3840x2160");
        assert_eq!(derived("9:16", Resolution::FourK), "2160x3840");
        assert_eq!(derived("1:1", Resolution::FourK), "2880x2880");
        assert_eq!(derived("1:1", Resolution::TwoK), "2048x2048");
        assert_eq!(derived("16:9", Resolution::TwoK), "2048x1152");
        assert_eq!(derived("3:2", Resolution::OneK), "1536x1024");
        // Steeper than may be.
        assert_eq!(derived("100:1", Resolution::TwoK), derived("3:1", Resolution::TwoK));
        for bad in ["", "16", "0:9", "16:0", "a:b", "-1:2", "16:9:1"] {
            assert_eq!(bad.parse::<Ratio>(), Err(SizeFault::Shape), "{bad}");
        }
    }

    #[test]
    fn a_match_is_said_as_it_is() {
        let wanted: Size = "1536x1024".parse().unwrap();
        let said = |width, height| wanted.compare(width, height).word();
        assert_eq!([said(1536, 1024), said(1254, 836), said(1024, 1536)], ["exact", "aspect", "no"]);
    }

    proptest! {
        /// Whatever shape: the derived size keeps the rules and, where the rules allow it, the shape within a step.
        #[test]
        fn every_shape_has_a_size(width in 1u32..5000, height in 1u32..5000, four in any::<bool>()) {
            let ratio = Ratio::new(width, height).unwrap();
            let size = derive_size(ratio, if four { Resolution::FourK } else { Resolution::TwoK });
            let (w, h) = size.pixels();
            prop_assert!(Size::new(w, h).is_ok());
            if width <= height * 3 && height <= width * 3 {
                let ideal = f64::from(width) / f64::from(height);
                let step = f64::from(MULTIPLE) / f64::from(w.min(h));
                prop_assert!((f64::from(w) / f64::from(h) / ideal - 1.0).abs() <= step * 1.1, "{w}x{h} for {ideal}");
            }
        }

        /// What is written is read back, and a size equals itself.
        #[test]
        fn sizes_are_read_back(w in 1u32..260, h in 1u32..260) {
            if let Ok(size) = Size::new(w * 16, h * 16) {
                prop_assert_eq!(size.to_string().parse::<Size>(), Ok(size));
                prop_assert_eq!(size.compare(w * 16, h * 16), SizeMatch::Exact);
            }
        }
    }
}
