-- When the provider gives up what an authorization sets aside; null when it does not, or is not known to.
ALTER TABLE payments ADD COLUMN expires_at timestamptz;
ALTER TABLE payments ADD CONSTRAINT payments_expires_authorization CHECK (expires_at IS NULL OR kind = 'AUTHORIZATION');
