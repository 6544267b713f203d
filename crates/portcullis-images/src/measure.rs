//! What a picture's file is: its format, its width and height, out of its own header.

use std::io::Cursor;

use image::{ImageFormat, ImageReader};
use portcullis_agent::PictureFormat;

/// What a file says of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Measured {
    /// Its format.
    pub format: PictureFormat,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// Why a file is no picture that can be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PictureFault {
    /// It begins like none.
    #[error("it is none of PNG, JPEG, WebP")]
    Unknown,
    /// It begins like one and goes on otherwise.
    #[error("it is broken")]
    Broken,
    /// It would take too much memory to be looked at.
    #[error("it has too many pixels")]
    TooLarge,
}

/// Reads a file's header. No pixel is decoded.
pub fn measure(bytes: &[u8]) -> Result<Measured, PictureFault> {
    let format = PictureFormat::sniff(bytes).ok_or(PictureFault::Unknown)?;
    let reader = ImageReader::with_format(Cursor::new(bytes), codec(format));
    let (width, height) = reader.into_dimensions().map_err(|_broken| PictureFault::Broken)?;
    if width == 0 || height == 0 {
        return Err(PictureFault::Broken);
    }
    Ok(Measured { format, width, height })
}

pub(crate) fn codec(format: PictureFormat) -> ImageFormat {
    match format {
        PictureFormat::Png => ImageFormat::Png,
        PictureFormat::Jpeg => ImageFormat::Jpeg,
        PictureFormat::Webp => ImageFormat::WebP,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_believed_and_a_name_is_not() {
        let mut png = Vec::new();
        image::RgbaImage::new(7, 3).write_to(&mut Cursor::new(&mut png), ImageFormat::Png).unwrap();
        assert_eq!(measure(&png), Ok(Measured { format: PictureFormat::Png, width: 7, height: 3 }));
        assert_eq!(measure(b"hello"), Err(PictureFault::Unknown));
        assert_eq!(measure(b"GIF89a"), Err(PictureFault::Unknown));
        assert_eq!(measure(b""), Err(PictureFault::Unknown));
        for cut in 8..33 {
            assert_eq!(measure(&png[..cut]), Err(PictureFault::Broken), "{cut}");
        }
    }
}
