//! From one picture file to another: another format, another size where that was asked for in so many words.

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageReader, Limits, Rgba, RgbaImage, imageops};
use portcullis_agent::PictureFormat;

use crate::measure::{Measured, PictureFault, codec, measure};

/// The largest edge that is decoded, in pixels.
const LARGEST_EDGE: u32 = 16_384;
/// The most pixels that are decoded. Four bytes each.
const MOST_PIXELS: u64 = 40_000_000;
/// What a decoder may allocate, in bytes.
const DECODER_BYTES: u64 = 256 * 1024 * 1024;
/// The quality of lossy formats where none was asked for.
const QUALITY: u8 = 90;

/// What a picture is to become.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Target {
    /// Its format.
    pub format: PictureFormat,
    /// How much is kept in a lossy format, from 0 to 100.
    pub compression: Option<u8>,
    /// Another size.
    pub fit: Option<Fit>,
}

/// Another size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fit {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// How.
    pub how: FitHow,
}

/// How a picture of another shape gets a size. None of them stretches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FitHow {
    /// Fills it; what stands over is cut off.
    Cover,
    /// Lies whole within it; one edge may be shorter.
    Contain,
    /// Lies whole within it, with an empty margin.
    Pad,
}

/// A picture as it goes out.
#[derive(Clone, Debug)]
pub struct Processed {
    /// The file.
    pub bytes: Bytes,
    /// What it is, measured again.
    pub measured: Measured,
    /// Its size was changed here.
    pub resized: bool,
}

/// Makes a picture into what is wanted. One that already is it goes through byte for byte. Blocks on the processor.
pub fn process(bytes: Bytes, measured: Measured, target: Target) -> Result<Processed, PictureFault> {
    let fit = target.fit.filter(|fit| (fit.width, fit.height) != (measured.width, measured.height));
    if fit.is_none() && target.format == measured.format && target.compression.is_none() {
        return Ok(Processed { bytes, measured, resized: false });
    }
    let mut picture = decode(&bytes, measured)?;
    drop(bytes);
    if let Some(fit) = fit {
        picture = resize(&picture, fit, target.format);
    }
    let bytes = encode(picture, target)?;
    let measured = measure(&bytes)?;
    Ok(Processed { bytes, measured, resized: fit.is_some() })
}

fn decode(bytes: &[u8], measured: Measured) -> Result<DynamicImage, PictureFault> {
    if u64::from(measured.width) * u64::from(measured.height) > MOST_PIXELS {
        return Err(PictureFault::TooLarge);
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_EDGE);
    limits.max_image_height = Some(LARGEST_EDGE);
    limits.max_alloc = Some(DECODER_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), codec(measured.format));
    reader.limits(limits);
    reader.decode().map_err(|error| match error {
        image::ImageError::Limits(_) => PictureFault::TooLarge,
        _ => PictureFault::Broken,
    })
}

fn resize(picture: &DynamicImage, fit: Fit, format: PictureFormat) -> DynamicImage {
    let filter = FilterType::Lanczos3;
    match fit.how {
        FitHow::Cover => picture.resize_to_fill(fit.width, fit.height, filter),
        FitHow::Contain => picture.resize(fit.width, fit.height, filter),
        FitHow::Pad => {
            let inner = picture.resize(fit.width, fit.height, filter).into_rgba8();
            let empty = if format == PictureFormat::Jpeg { Rgba([255; 4]) } else { Rgba([0; 4]) };
            let mut padded = RgbaImage::from_pixel(fit.width, fit.height, empty);
            let (left, top) = ((fit.width - inner.width()) / 2, (fit.height - inner.height()) / 2);
            imageops::overlay(&mut padded, &inner, left.into(), top.into());
            padded.into()
        }
    }
}

fn encode(picture: DynamicImage, target: Target) -> Result<Bytes, PictureFault> {
    let quality = target.compression.unwrap_or(QUALITY);
    let mut out = Vec::new();
    match target.format {
        PictureFormat::Png => {
            // Anything but eight bits a channel would surprise most readers.
            let plain = match picture {
                picture @ (DynamicImage::ImageRgb8(_) | DynamicImage::ImageLuma8(_)) => picture,
                other => other.into_rgba8().into(),
            };
            plain
                .write_to(&mut Cursor::new(&mut out), image::ImageFormat::Png)
                .map_err(|_broken| PictureFault::Broken)?;
        }
        PictureFormat::Jpeg => {
            let encoder = JpegEncoder::new_with_quality(&mut out, quality.max(1));
            on_white(picture).write_with_encoder(encoder).map_err(|_broken| PictureFault::Broken)?;
        }
        PictureFormat::Webp => {
            let pixels = picture.into_rgba8();
            let encoder = webp::Encoder::from_rgba(&pixels, pixels.width(), pixels.height());
            out.extend_from_slice(&encoder.encode(f32::from(quality)));
        }
    }
    Ok(out.into())
}

/// A format without transparency shows what is transparent as white.
fn on_white(picture: DynamicImage) -> DynamicImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8().into();
    }
    let pixels = picture.into_rgba8();
    let mut opaque = RgbaImage::from_pixel(pixels.width(), pixels.height(), Rgba([255; 4]));
    imageops::overlay(&mut opaque, &pixels, 0, 0);
    DynamicImage::from(opaque).into_rgb8().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Left half red, right half transparent.
    fn png(width: u32, height: u32) -> Bytes {
        let image = RgbaImage::from_fn(width, height, |x, _| {
            if x < width / 2 { Rgba([255, 0, 0, 255]) } else { Rgba([0, 0, 0, 0]) }
        });
        let mut out = Vec::new();
        image.write_to(&mut Cursor::new(&mut out), image::ImageFormat::Png).unwrap();
        out.into()
    }

    fn made(picture: &Bytes, target: Target) -> Processed {
        process(picture.clone(), measure(picture).unwrap(), target).unwrap()
    }

    fn target(format: PictureFormat) -> Target {
        Target { format, compression: None, fit: None }
    }

    #[test]
    fn what_is_wanted_already_is_not_touched() {
        let picture = png(40, 20);
        let same = made(&picture, target(PictureFormat::Png));
        assert!(same.bytes == picture && !same.resized);
        let fit = Some(Fit { width: 40, height: 20, how: FitHow::Cover });
        assert_eq!(made(&picture, Target { fit, ..target(PictureFormat::Png) }).bytes, picture);
    }

    #[test]
    fn every_format_is_really_made() {
        let picture = png(64, 48);
        for format in PictureFormat::ALL {
            let made = made(&picture, Target { compression: Some(80), ..target(format) });
            assert_eq!(made.measured, Measured { format, width: 64, height: 48 });
            let pixels = decode(&made.bytes, made.measured).unwrap().into_rgba8();
            let [red, green, _, _] = pixels.get_pixel(8, 24).0;
            assert!(red > 240 && green < 20, "{format:?}");
            let right = pixels.get_pixel(56, 24).0;
            match format {
                PictureFormat::Jpeg => assert!(right.iter().all(|part| *part > 240), "{right:?}"),
                _ => assert_eq!(right[3], 0, "{format:?}"),
            }
        }
        let size =
            |compression| made(&picture, Target { compression, ..target(PictureFormat::Jpeg) }).bytes.len();
        assert!(size(Some(5)) < size(Some(100)));
    }

    #[test]
    fn a_fit_never_stretches() {
        let picture = png(80, 40);
        let fitted = |how| {
            let fit = Some(Fit { width: 40, height: 40, how });
            let made = made(&picture, Target { fit, ..target(PictureFormat::Png) });
            assert!(made.resized);
            (
                made.measured.width,
                made.measured.height,
                decode(&made.bytes, made.measured).unwrap().into_rgba8(),
            )
        };
        let (width, height, pixels) = fitted(FitHow::Cover);
        assert_eq!((width, height, pixels.get_pixel(5, 2).0), (40, 40, [255, 0, 0, 255]));
        let (width, height, _) = fitted(FitHow::Contain);
        assert_eq!((width, height), (40, 20));
        let (width, height, pixels) = fitted(FitHow::Pad);
        assert_eq!((width, height, pixels.get_pixel(5, 2).0[3]), (40, 40, 0));
        assert_eq!(pixels.get_pixel(5, 20).0, [255, 0, 0, 255]);
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        // A header that promises ten thousand times ten thousand pixels, and little behind it.
        let mut bomb = png(16, 16).to_vec();
        bomb[16..24].copy_from_slice(&[0, 0, 0x27, 0x10, 0, 0, 0x27, 0x10]);
        // The header's own sum.
        let sum = crc(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&sum.to_be_bytes());
        let measured = measure(&bomb).unwrap();
        assert_eq!((measured.width, measured.height), (10_000, 10_000));
        let result = process(bomb.into(), measured, target(PictureFormat::Jpeg));
        assert_eq!(result.err(), Some(PictureFault::TooLarge));
    }

    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| sum >> 1 ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
        })
    }
}
