//! Conversations in memory.

use std::collections::HashSet;

use async_trait::async_trait;
use portcullis_agent::PrincipalId;

use super::Memory;
use super::responses::to_microsecond;
use super::state::{HeldConversation, State, bytes_of, page_of};
use crate::{
    ConversationId, Conversations, MAX_HISTORY_BYTES, NewConversation, Page, PageOf, StoreError,
    StoredConversation, StoredItem, check_text,
};

#[async_trait]
impl Conversations for Memory {
    async fn create(&self, new: NewConversation) -> Result<(), StoreError> {
        new.check()?;
        let mut state = self.state();
        if state.conversations.contains_key(&new.id) {
            return Err(StoreError::Taken { id: new.id.as_str().to_owned() });
        }
        let bytes = new.metadata.len() as u64;
        state.make_room(bytes, None)?;
        state.conversation_bytes += bytes;
        let conversation = StoredConversation {
            id: new.id.clone(),
            principal: new.principal,
            created: to_microsecond(new.created),
            metadata: new.metadata,
        };
        state.conversations.insert(new.id, HeldConversation { conversation, items: Vec::new() });
        Ok(())
    }

    async fn get(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
    ) -> Result<Option<StoredConversation>, StoreError> {
        Ok(owned(&mut self.state(), principal, id).map(|held| held.conversation.clone()))
    }

    async fn set_metadata(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
        metadata: String,
    ) -> Result<bool, StoreError> {
        check_text("the metadata", &metadata)?;
        let mut state = self.state();
        let Some(held) = owned(&mut state, principal, id) else { return Ok(false) };
        let (less, more) = (held.conversation.metadata.len() as u64, metadata.len() as u64);
        state.make_room(more.saturating_sub(less), None)?;
        let Some(held) = owned(&mut state, principal, id) else { return Ok(false) };
        held.conversation.metadata = metadata;
        state.conversation_bytes = state.conversation_bytes - less + more;
        Ok(true)
    }

    async fn delete(&self, principal: &PrincipalId, id: &ConversationId) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(bytes) = owned(&mut state, principal, id).map(|held| held.bytes()) else { return Ok(false) };
        state.conversations.remove(id);
        state.conversation_bytes -= bytes;
        Ok(true)
    }

    async fn append(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
        items: Vec<StoredItem>,
    ) -> Result<bool, StoreError> {
        items.iter().try_for_each(StoredItem::check)?;
        let mut state = self.state();
        let Some(held) = owned(&mut state, principal, id) else { return Ok(false) };
        let mut seen: HashSet<&str> = held.items.iter().map(|item| item.id.as_str()).collect();
        if let Some(twice) = items.iter().find(|item| !seen.insert(&item.id)) {
            return Err(StoreError::Taken { id: twice.id.clone() });
        }
        let bytes = bytes_of(&items);
        state.make_room(bytes, None)?;
        let Some(held) = owned(&mut state, principal, id) else { return Ok(false) };
        held.items.extend(items);
        state.conversation_bytes += bytes;
        Ok(true)
    }

    async fn items(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
        page: Page,
    ) -> Result<Option<PageOf<StoredItem>>, StoreError> {
        owned(&mut self.state(), principal, id).map(|held| page_of(&held.items, &page)).transpose()
    }

    async fn item(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
        item_id: &str,
    ) -> Result<Option<StoredItem>, StoreError> {
        let mut state = self.state();
        let Some(held) = owned(&mut state, principal, id) else { return Ok(None) };
        Ok(held.items.iter().find(|item| item.id == item_id).cloned())
    }

    async fn delete_item(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
        item_id: &str,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(held) = owned(&mut state, principal, id) else { return Ok(false) };
        let Some(at) = held.items.iter().position(|item| item.id == item_id) else { return Ok(false) };
        let removed = held.items.remove(at);
        state.conversation_bytes -= removed.bytes();
        Ok(true)
    }

    async fn all_items(
        &self,
        principal: &PrincipalId,
        id: &ConversationId,
    ) -> Result<Option<Vec<StoredItem>>, StoreError> {
        let mut state = self.state();
        let Some(held) = owned(&mut state, principal, id) else { return Ok(None) };
        if bytes_of(&held.items) > MAX_HISTORY_BYTES as u64 {
            return Err(StoreError::TooLong);
        }
        Ok(Some(held.items.clone()))
    }

    async fn stored_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.state().conversation_bytes)
    }
}

fn owned<'a>(
    state: &'a mut State,
    principal: &PrincipalId,
    id: &ConversationId,
) -> Option<&'a mut HeldConversation> {
    state.conversations.get_mut(id).filter(|held| held.conversation.principal == *principal)
}
