-- The shard of a message, empty for those that no other PPCH has. A delivery whose state is 3 is held: another PPCH is to send it.
ALTER TABLE messages ADD COLUMN shard TEXT NOT NULL DEFAULT '';
CREATE INDEX deliveries_held ON deliveries (webhook, message) WHERE state = 3;
