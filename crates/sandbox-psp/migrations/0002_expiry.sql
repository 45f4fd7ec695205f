-- When an approved authorization ends: nothing is captured of it from then on. Null for other charges, and for
-- authorizations from before there was an end.
ALTER TABLE charges ADD COLUMN expires_at timestamptz;
