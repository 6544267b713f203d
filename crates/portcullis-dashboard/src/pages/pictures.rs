//! The pictures that are kept. What they were made from is known to nobody here.

use std::time::SystemTime;

use maud::{Markup, html};

use super::{Page, page, token};
use crate::gallery::{KeptPicture, KeptPictures, Selection};
use crate::session::Operator;
use crate::views::{ago, count, exact, size, time};

/// How many keys have a link of their own: those with the newest pictures.
const MOST_KEYS: usize = 50;

/// What the page shows.
#[derive(Debug)]
pub(crate) struct PicturesView<'a> {
    pub(crate) kept: KeptPictures,
    pub(crate) shown: Selection,
    /// How many there are on a page.
    pub(crate) most: usize,
    /// What became of the last act.
    pub(crate) said: Option<&'a str>,
    pub(crate) now: SystemTime,
}

/// Where none are kept.
pub(crate) fn no_pictures(operator: &Operator, why: &str, hint: &str) -> Markup {
    page(Page::Pictures, operator, &html! { p { (why) " " (hint) } })
}

pub(crate) fn pictures(operator: &Operator, view: &PicturesView<'_>) -> Markup {
    let PicturesView { kept, shown, most, said, now } = view;
    let Selection { of, skip } = shown;
    let all: usize = kept.principals.iter().map(|(_, count)| count).sum();
    let theirs = of.as_ref().map(|of| {
        kept.principals.iter().find(|(principal, _)| principal == of).map_or(0, |(_, count)| *count)
    });
    let total = theirs.unwrap_or(all);
    let end = skip.saturating_add(kept.pictures.len());
    page(
        Page::Pictures,
        operator,
        &html! {
            @if let Some(said) = said { p.alert role="status" { (said) } }
            p.note { "Only pictures that are to be fetched are kept: those of image plug-ins, and of requests with "
                code { "response_format: \"url\"" } ". The others go out with their answers. A restart removes all." }
            @if all > 0 {
                nav aria-label="Keys" { ul {
                    li { a href=(Page::Pictures.path()) aria-current=[of.is_none().then_some("true")] { "All (" (count(all as u64)) ")" } }
                    @for (principal, theirs) in kept.principals.iter().take(MOST_KEYS) {
                        @let only = Selection { of: Some(principal.clone()), skip: 0 };
                        li { a href=(pictures_path(&only)) aria-current=[(of.as_ref() == Some(principal)).then_some("true")] {
                            (principal) " (" (count(*theirs as u64)) ")"
                        } }
                    }
                } }
            }
            @if kept.pictures.is_empty() {
                p { @match of {
                    Some(of) => { "No picture of " (of) " is kept" @if *skip > 0 { " here" } "." },
                    None => { "No picture is kept" @if *skip > 0 { " here" } "." },
                } }
            } @else {
                ul.gallery { @for picture in &kept.pictures { li { (one(operator, picture, shown, *now)) } } }
            }
            @if *skip > 0 || end < total {
                nav aria-label="More pictures" { ul {
                    @if *skip > 0 { li { a href=(pictures_path(&at(shown, skip.saturating_sub(*most)))) { "Newer" } } }
                    @if end < total { li { a href=(pictures_path(&at(shown, end))) { "Older" } } }
                } }
            }
        },
    )
}

fn one(operator: &Operator, picture: &KeptPicture, shown: &Selection, now: SystemTime) -> Markup {
    let KeptPicture { id, principal, format, width, height, bytes, made, left } = picture;
    let file = format!("{}/{id}/file", Page::Pictures.path());
    let made_at = exact(*made);
    html! {
        figure {
            a href=(file) {
                img src=(file) alt=(format!("Picture of {principal}, {width} by {height} pixels, made {made_at}"))
                    width=(width) height=(height) loading="lazy" decoding="async";
            }
            figcaption {
                strong { (principal) } br;
                (width) "×" (height) " " (format.word()) ", " (size(*bytes)) br;
                "made " (ago(*made, now)) br;
                "goes in " (time(*left)) " at the latest"
            }
            form method="post" action=(format!("{}/{id}/delete", Page::Pictures.path())) {
                (token(operator))
                @if let Some(of) = &shown.of { input type="hidden" name="key" value=(of); }
                @if shown.skip > 0 { input type="hidden" name="skip" value=(shown.skip); }
                button.danger type="submit" aria-label=(format!("Delete the picture of {principal}, made {made_at}")) { "Delete" }
            }
        }
    }
}

fn at(shown: &Selection, skip: usize) -> Selection {
    Selection { of: shown.of.clone(), skip }
}

/// The page that shows these.
pub(crate) fn pictures_path(shown: &Selection) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(of) = &shown.of {
        query.append_pair("key", of.as_str());
    }
    if shown.skip > 0 {
        query.append_pair("skip", &shown.skip.to_string());
    }
    match query.finish() {
        query if query.is_empty() => Page::Pictures.path().to_owned(),
        query => format!("{}?{query}", Page::Pictures.path()),
    }
}
