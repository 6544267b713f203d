//! Responses in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_agent::PrincipalId;

use super::Memory;
use super::state::{Held, State, bytes_of, page_of};
use crate::{
    MAX_CHAIN, MAX_HISTORY_BYTES, NewResponse, Page, PageOf, ResponseId, Responses, Status, StoreError,
    StoredEvent, StoredItem, StoredResponse, check_text,
};

#[async_trait]
impl Responses for Memory {
    async fn create(&self, new: NewResponse) -> Result<(), StoreError> {
        new.check()?;
        let mut state = self.state();
        if state.response(&new.id).is_some() {
            return Err(StoreError::Taken { id: new.id.as_str().to_owned() });
        }
        state.make_room(new.body.len() as u64 + bytes_of(&new.input_items), new.previous.as_ref())?;
        let created = to_microsecond(new.created);
        let response = StoredResponse {
            id: new.id,
            principal: new.principal,
            created,
            finished: new.status.is_finished().then_some(created),
            background: new.background,
            previous: new.previous,
            conversation: new.conversation,
            body: new.body,
            status: new.status,
        };
        state.insert(response, new.input_items);
        Ok(())
    }

    async fn append_events(&self, id: &ResponseId, events: &[StoredEvent]) -> Result<bool, StoreError> {
        events.iter().try_for_each(StoredEvent::check)?;
        let mut state = self.state();
        let Some(held) = state.response(id) else { return Ok(false) };
        let mut fresh = BTreeMap::new();
        for event in events.iter().filter(|event| !held.events.contains_key(&event.sequence)) {
            fresh.entry(event.sequence).or_insert_with(|| event.json.clone());
        }
        let more = fresh.values().map(|json| json.len() as u64).sum();
        state.change(id, (0, more), |held| held.events.append(&mut fresh))
    }

    async fn update_body(&self, id: &ResponseId, status: Status, body: String) -> Result<bool, StoreError> {
        check_text("the response", &body)?;
        replace(&mut self.state(), id, Replacement { status, body, output: None, at: None })
    }

    async fn finish(
        &self,
        id: &ResponseId,
        status: Status,
        body: String,
        output_items: Vec<StoredItem>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        check_text("the response", &body)?;
        output_items.iter().try_for_each(StoredItem::check)?;
        replace(
            &mut self.state(),
            id,
            Replacement { status, body, output: Some(output_items), at: Some(to_microsecond(at)) },
        )
    }

    async fn get(
        &self,
        principal: &PrincipalId,
        id: &ResponseId,
    ) -> Result<Option<StoredResponse>, StoreError> {
        Ok(owned(&self.state(), principal, id).map(|held| held.response.clone()))
    }

    async fn events(
        &self,
        principal: &PrincipalId,
        id: &ResponseId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Option<Vec<StoredEvent>>, StoreError> {
        let state = self.state();
        let Some(held) = owned(&state, principal, id) else { return Ok(None) };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let behind = held.events.iter().filter(|(sequence, _)| after.is_none_or(|after| **sequence > after));
        let events = behind.take(limit).map(|(&sequence, json)| StoredEvent { sequence, json: json.clone() });
        Ok(Some(events.collect()))
    }

    async fn input_items(
        &self,
        principal: &PrincipalId,
        id: &ResponseId,
        page: Page,
    ) -> Result<Option<PageOf<StoredItem>>, StoreError> {
        owned(&self.state(), principal, id).map(|held| page_of(&held.input, &page)).transpose()
    }

    async fn item_by_id(
        &self,
        principal: &PrincipalId,
        item_id: &str,
    ) -> Result<Option<StoredItem>, StoreError> {
        let state = self.state();
        let items =
            |held: &Held| held.input.iter().chain(&held.output).find(|item| item.id == item_id).cloned();
        let mine = state.responses().filter(|held| held.response.principal == *principal);
        Ok(mine
            .filter_map(|held| items(held).map(|item| (held.serial, item)))
            .max_by_key(|(n, _)| *n)
            .map(|(_, item)| item))
    }

    async fn history(
        &self,
        principal: &PrincipalId,
        id: &ResponseId,
    ) -> Result<Option<Vec<StoredItem>>, StoreError> {
        let state = self.state();
        let Some(mut held) = owned(&state, principal, id) else { return Ok(None) };
        let mut chain = vec![held];
        let mut bytes = bytes_of(&held.input) + bytes_of(&held.output);
        while let Some(previous) = &held.response.previous {
            held = owned(&state, principal, previous)
                .ok_or_else(|| StoreError::BrokenChain { id: previous.clone() })?;
            chain.push(held);
            bytes += bytes_of(&held.input) + bytes_of(&held.output);
            if chain.len() > MAX_CHAIN {
                return Err(StoreError::TooLong);
            }
        }
        if bytes > MAX_HISTORY_BYTES as u64 {
            return Err(StoreError::TooLong);
        }
        Ok(Some(chain.iter().rev().flat_map(|held| held.input.iter().chain(&held.output)).cloned().collect()))
    }

    async fn delete(&self, principal: &PrincipalId, id: &ResponseId) -> Result<bool, StoreError> {
        let mut state = self.state();
        if owned(&state, principal, id).is_none() {
            return Ok(false);
        }
        Ok(state.remove(id))
    }

    async fn fail_unfinished(
        &self,
        at: Timestamp,
        make_body: &(dyn for<'a> Fn(&'a StoredResponse) -> String + Send + Sync),
    ) -> Result<Vec<ResponseId>, StoreError> {
        let mut state = self.state();
        let mut unfinished: Vec<&Held> =
            state.responses().filter(|held| held.response.finished.is_none()).collect();
        unfinished.sort_unstable_by_key(|held| held.serial);
        let made: Vec<(ResponseId, String)> =
            unfinished.iter().map(|held| (held.response.id.clone(), make_body(&held.response))).collect();
        let (mut less, mut more) = (0, 0);
        for (held, (_, body)) in unfinished.iter().zip(&made) {
            check_text("the response", body)?;
            less += held.response.body.len() as u64;
            more += body.len() as u64;
        }
        // All or nothing: after this there is room for each of them.
        state.make_room(more.saturating_sub(less), None)?;
        let mut failed = Vec::with_capacity(made.len());
        for (id, body) in made {
            let at = Some(to_microsecond(at));
            if replace(&mut state, &id, Replacement { status: Status::Failed, body, output: None, at })? {
                failed.push(id);
            }
        }
        Ok(failed)
    }

    async fn expire(&self, older_than: Timestamp) -> Result<u64, StoreError> {
        let mut state = self.state();
        let old: Vec<ResponseId> = state
            .responses()
            .filter(|held| held.response.finished.is_some_and(|finished| finished < older_than))
            .map(|held| held.response.id.clone())
            .collect();
        for id in &old {
            state.remove(id);
        }
        Ok(old.len() as u64)
    }

    async fn shrink(&self, max_bytes: u64) -> Result<u64, StoreError> {
        Ok(self.state().shrink(max_bytes, None))
    }

    async fn stored_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.state().response_bytes())
    }
}

struct Replacement {
    status: Status,
    body: String,
    /// `None` leaves the output items.
    output: Option<Vec<StoredItem>>,
    at: Option<Timestamp>,
}

fn replace(state: &mut State, id: &ResponseId, new: Replacement) -> Result<bool, StoreError> {
    let Some(held) = state.response(id) else { return Ok(false) };
    let less = held.response.body.len() as u64 + new.output.as_ref().map_or(0, |_| bytes_of(&held.output));
    let more = new.body.len() as u64 + new.output.as_deref().map_or(0, bytes_of);
    state.change(id, (less, more), |held| {
        let response = &mut held.response;
        let finished = new.at.or(response.finished).unwrap_or(response.created);
        response.finished = new.status.is_finished().then_some(finished);
        response.status = new.status;
        response.body = new.body;
        if let Some(output) = new.output {
            held.output = output;
        }
    })
}

fn owned<'a>(state: &'a State, principal: &PrincipalId, id: &ResponseId) -> Option<&'a Held> {
    state.response(id).filter(|held| held.response.principal == *principal)
}

/// What a database keeps of a time.
pub(super) fn to_microsecond(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
