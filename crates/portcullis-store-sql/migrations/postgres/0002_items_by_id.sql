-- A client may refer to an item by its id alone.

CREATE INDEX response_items_by_id ON response_items (item_id);
