-- Channels that hear of an erasure, and channels that may spend the credit of an account.

-- An erasure is told once for each channel of the customer's orders. How often, so that the events of the next one are
-- numbered on from it; before, it was told once.
ALTER TABLE data_keys
    ADD COLUMN told integer NOT NULL DEFAULT 1,
    ADD CONSTRAINT data_keys_told_not_negative CHECK (told >= 0);

-- Whose orders an account on terms pays for; empty for every channel's.
ALTER TABLE credits
    ADD COLUMN channel_ids text[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT credits_channels_of_terms CHECK (book = 'terms' OR channel_ids = '{}');
