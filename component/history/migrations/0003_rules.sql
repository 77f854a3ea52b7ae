-- The operator's rule by which an occupant is hidden; NULL without one.
ALTER TABLE stays ADD COLUMN rule TEXT;
ALTER TABLE present ADD COLUMN rule TEXT;
