-- Orders whose saga waits for a person expire all the same: finds those that have not passed the confirmation and do not unwind yet.
CREATE INDEX sagas_stuck_expiring_idx ON sagas (expires_at)
    WHERE state = 'STUCK' AND undo_to = '' AND step NOT IN ('confirm', 'release');
