//! The shelf as its operator sees it: the pictures of everybody. No client's request leads here.

use std::collections::HashMap;
use std::fs::File;
use std::time::{Duration, Instant};

use portcullis_agent::PrincipalId;

use super::{Kept, Shelf};

/// A kept picture, and whose it is.
#[derive(Clone, Debug)]
pub struct Overseen {
    /// Who had it made.
    pub principal: PrincipalId,
    /// The picture.
    pub kept: Kept,
    /// How long it stays at the most: it goes earlier where others need its room.
    pub left: Duration,
}

/// Some of what is kept, and how much there is.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Whose pictures there are, and how many; who had the newest made is first.
    pub principals: Vec<(PrincipalId, usize)>,
    /// The pictures that were asked for, the newest first.
    pub pictures: Vec<Overseen>,
}

impl Shelf {
    /// Looks at everything, and tells `most` pictures after the newest `skip`: of one principal, or of all.
    pub fn oversee(&self, of: Option<&PrincipalId>, skip: usize, most: usize, now: Instant) -> Overview {
        let mut state = self.lock();
        self.expire_in(&mut state, now);
        let mut principals: Vec<(PrincipalId, usize)> = Vec::new();
        let mut places: HashMap<&PrincipalId, usize> = HashMap::new();
        for entry in state.order.iter().rev().filter_map(|id| state.kept.get(id)) {
            let place = *places.entry(&entry.principal).or_insert_with(|| {
                principals.push((entry.principal.clone(), 0));
                principals.len() - 1
            });
            principals[place].1 += 1;
        }
        let entries = state.order.iter().rev().filter_map(|id| state.kept.get(id));
        let wanted = entries.filter(|entry| of.is_none_or(|of| entry.principal == *of));
        let pictures = wanted.skip(skip).take(most).map(|entry| Overseen {
            principal: entry.principal.clone(),
            kept: entry.kept.clone(),
            left: self.limits.age.saturating_sub(now.saturating_duration_since(entry.since)),
        });
        Overview { pictures: pictures.collect(), principals }
    }

    /// A picture of anybody, and its file.
    pub fn open_overseen(&self, id: &str, now: Instant) -> Option<(Kept, File)> {
        let mut state = self.lock();
        self.expire_in(&mut state, now);
        state.kept.get(id)?.open()
    }

    /// Removes a picture of anybody; says whose it was, if there was one.
    pub fn remove_overseen(&self, id: &str) -> Option<PrincipalId> {
        let mut state = self.lock();
        let principal = state.kept.get(id)?.principal.clone();
        state.drop_picture(id);
        Some(principal)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use portcullis_agent::PictureFormat;

    use super::*;
    use crate::{Measured, NewKept, ShelfLimits};

    #[test]
    fn the_operator_sees_everybodys_newest_first_and_removes_any() {
        let dir = camino_tempfile::tempdir().unwrap();
        let age = Duration::from_secs(10);
        let shelf = Shelf::open(dir.path(), ShelfLimits { age, bytes: 100, principal_bytes: 100 }).unwrap();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let put = |who: &str, bytes: &[u8], now| {
            let measured = Measured { format: PictureFormat::Png, width: 1, height: 1 };
            shelf.put(&who.into(), NewKept { bytes, measured, created: 1 }, now).unwrap().id
        };
        let seen = |of: Option<&str>, skip, most, now| {
            let of = of.map(PrincipalId::from);
            let Overview { principals, pictures } = shelf.oversee(of.as_ref(), skip, most, now);
            let principals: Vec<_> = principals.iter().map(|(who, count)| format!("{who} {count}")).collect();
            let pictures: Vec<_> = pictures
                .iter()
                .map(|seen| format!("{} {} {}", seen.principal, seen.kept.bytes, seen.left.as_secs()))
                .collect();
            (principals.join(", "), pictures.join(", "))
        };
        let told = |principals: &str, pictures: &str| (principals.to_owned(), pictures.to_owned());
        assert_eq!(seen(None, 0, 9, start), told("", ""));
        let first = put("ann", b"a", at(0));
        put("bob", b"bo", at(1));
        put("ann", b"ann", at(2));
        assert_eq!(seen(None, 0, 9, at(3)), told("ann 2, bob 1", "ann 3 9, bob 2 8, ann 1 7"));
        assert_eq!(seen(None, 1, 1, at(3)), told("ann 2, bob 1", "bob 2 8"));
        assert_eq!(seen(Some("ann"), 1, 9, at(3)), told("ann 2, bob 1", "ann 1 7"));
        assert_eq!(seen(Some("eve"), 0, 9, at(3)), told("ann 2, bob 1", ""));

        let (_, mut file) = shelf.open_overseen(&first, at(3)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a");
        assert!(shelf.open_overseen(&first, at(10)).is_none(), "it is too old");
        assert_eq!(seen(None, 0, 9, at(10)).0, "ann 1, bob 1");
        let newest = shelf.oversee(None, 0, 1, at(10)).pictures.remove(0).kept.id;
        assert_eq!(shelf.remove_overseen(&newest), Some("ann".into()));
        assert_eq!(shelf.remove_overseen(&newest), None);
        assert_eq!((seen(None, 0, 9, at(10)).0, dir.path().read_dir().unwrap().count()), ("bob 1".into(), 1));
    }
}
