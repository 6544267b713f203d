//! Pictures drawn from their prompt: the shapes and colours that it names, its words below, in the size that was
//! asked for. A pure function of the request, as honest as the demo model: it draws, and does not pretend to be more.

mod canvas;
mod letters;
mod prompt;

use std::time::Duration;

use canvas::{Canvas, Rgba};
use prompt::Wish;

use crate::{Answer, Received};

/// What is drawn at most, in pixels.
const MOST_PIXELS: u64 = 8_294_400;
/// Drawing is quick; a moment shows that one waits for pictures.
const A_MOMENT: Duration = Duration::from_millis(300);

/// Draws what a request to `…/images/generations` or `…/images/edits` asks for.
pub fn answer(received: &Received) -> Answer {
    let prompt = received.body["prompt"].as_str().unwrap_or_default();
    let size = received.body["size"].as_str().and_then(prompt::size_of).or_else(|| prompt::size_in(prompt));
    let (width, height) = size.filter(|size| area(*size) <= MOST_PIXELS).unwrap_or((1024, 1024));
    let references = received.body["images"].as_array().map_or(0, Vec::len);
    let transparent = received.body["background"] == "transparent";
    Answer::picture(&picture(prompt, width, height, references, transparent)).first_after(A_MOMENT)
}

fn area((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

/// A PNG of this size, drawn from a prompt. A frame for every picture that it was made from.
pub fn picture(prompt: &str, width: u32, height: u32, references: usize, transparent: bool) -> Vec<u8> {
    let Wish { figures, background, caption } = prompt::read(prompt);
    let mut canvas = if transparent {
        Canvas::filled(width, height, [0; 4], [0; 4])
    } else {
        Canvas::filled(width, height, lighter(background), background)
    };
    for number in 0..references.min(5) {
        canvas.frame(number, [255, 255, 255, 230]);
    }
    canvas.figures(&figures);
    canvas.caption(&caption);
    canvas.png()
}

fn lighter([red, green, blue, alpha]: Rgba) -> Rgba {
    let up = |part: u8| part.saturating_add(40);
    [up(red), up(green), up(blue), alpha]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(png: &[u8], x: usize, y: usize) -> [u8; 4] {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        let at = (y * frame.width as usize + x) * 4;
        pixels[at..at + 4].try_into().unwrap()
    }

    fn size(png: &[u8]) -> (u32, u32) {
        let reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        (reader.info().width, reader.info().height)
    }

    #[test]
    fn a_picture_shows_what_its_prompt_names() {
        let png = picture("a red circle on a blue background", 160, 120, 0, false);
        assert_eq!(size(&png), (160, 120));
        assert_eq!(pixel(&png, 80, 50), canvas::colour("red").unwrap());
        let [red, _, blue, alpha] = pixel(&png, 2, 60);
        assert!(blue > red && alpha == 255);
        // Two figures stand beside each other, in their order.
        let png = picture("a green square and a yellow star", 200, 100, 0, false);
        assert_eq!(pixel(&png, 50, 42), canvas::colour("green").unwrap());
        assert_eq!(pixel(&png, 150, 42), canvas::colour("yellow").unwrap());
        assert_eq!(pixel(&picture("a red heart", 64, 64, 0, true), 1, 1)[3], 0);
    }

    #[test]
    fn the_size_is_the_one_that_was_asked_for() {
        let asked = |body: serde_json::Value| {
            let received = Received {
                index: 0,
                at: std::time::Instant::now(),
                method: http::Method::POST,
                path: "/v1/images/generations".to_owned(),
                headers: http::HeaderMap::new(),
                body,
            };
            let answer = answer(&received);
            let (_, body, _) = answer.as_status().unwrap();
            let text = body["data"][0]["b64_json"].as_str().unwrap();
            size(&base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap())
        };
        assert_eq!(asked(serde_json::json!({"prompt": "a cat", "size": "auto"})), (1024, 1024));
        assert_eq!(asked(serde_json::json!({"prompt": "a cat", "size": "64x48"})), (64, 48));
        let told = "a cat\n\nSize: 160x96 pixels.";
        assert_eq!(asked(serde_json::json!({"prompt": told, "size": "auto"})), (160, 96));
        // More than may be drawn is not.
        assert_eq!(asked(serde_json::json!({"prompt": "x 100000x100000", "size": "auto"})), (1024, 1024));
    }
}
