-- The tables of River v0.31.0 (github.com/riverqueue/river), as its own migrations 1 to 6 leave them: made here so that
-- they come under our lock and cost a start nothing. Left out is its table of migrations. A test in pkg/queue
-- compares them with the tables that River makes.

-- +goose Up
CREATE TABLE river_job (
    id            INTEGER   PRIMARY KEY,
    args          BLOB      NOT NULL DEFAULT '{}',
    attempt       INTEGER   NOT NULL DEFAULT 0,
    attempted_at  TIMESTAMP,
    attempted_by  BLOB,
    created_at    TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    errors        BLOB,
    finalized_at  TIMESTAMP,
    kind          TEXT      NOT NULL,
    max_attempts  INTEGER   NOT NULL,
    metadata      BLOB      NOT NULL DEFAULT (json('{}')),
    priority      INTEGER   NOT NULL DEFAULT 1,
    queue         TEXT      NOT NULL DEFAULT 'default',
    state         TEXT      NOT NULL DEFAULT 'available',
    scheduled_at  TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    tags          BLOB      NOT NULL DEFAULT (json('[]')),
    unique_key    BLOB,
    unique_states INTEGER,
    CONSTRAINT finalized_or_finalized_at_null CHECK
        ((finalized_at IS NOT NULL) = (state IN ('cancelled', 'completed', 'discarded'))),
    CONSTRAINT priority_in_range CHECK (priority BETWEEN 1 AND 4),
    CONSTRAINT queue_length CHECK (length(queue) BETWEEN 1 AND 127),
    CONSTRAINT kind_length CHECK (length(kind) BETWEEN 1 AND 127),
    CONSTRAINT state_valid CHECK (state IN
        ('available', 'cancelled', 'completed', 'discarded', 'pending', 'retryable', 'running', 'scheduled'))
);
CREATE INDEX river_job_kind ON river_job (kind);
CREATE INDEX river_job_state_and_finalized_at_index ON river_job (state, finalized_at) WHERE finalized_at IS NOT NULL;
CREATE INDEX river_job_prioritized_fetching_index ON river_job (state, queue, priority, scheduled_at, id);
CREATE UNIQUE INDEX river_job_unique_idx ON river_job (unique_key)
    WHERE unique_key IS NOT NULL AND unique_states IS NOT NULL AND CASE state
        WHEN 'available' THEN unique_states & (1 << 0)
        WHEN 'cancelled' THEN unique_states & (1 << 1)
        WHEN 'completed' THEN unique_states & (1 << 2)
        WHEN 'discarded' THEN unique_states & (1 << 3)
        WHEN 'pending'   THEN unique_states & (1 << 4)
        WHEN 'retryable' THEN unique_states & (1 << 5)
        WHEN 'running'   THEN unique_states & (1 << 6)
        WHEN 'scheduled' THEN unique_states & (1 << 7)
        ELSE 0
    END >= 1;

CREATE TABLE river_leader (
    elected_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    leader_id  TEXT      NOT NULL,
    name       TEXT      PRIMARY KEY NOT NULL DEFAULT 'default' CHECK (name = 'default'),
    CONSTRAINT leader_id_length CHECK (length(leader_id) BETWEEN 1 AND 127)
);

CREATE TABLE river_queue (
    name       TEXT      PRIMARY KEY NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    metadata   BLOB      NOT NULL DEFAULT (json('{}')),
    paused_at  TIMESTAMP,
    updated_at TIMESTAMP NOT NULL
);

CREATE TABLE river_client (
    id         TEXT      PRIMARY KEY NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    metadata   BLOB      NOT NULL DEFAULT (json('{}')),
    paused_at  TIMESTAMP,
    updated_at TIMESTAMP NOT NULL,
    CONSTRAINT name_length CHECK (length(id) BETWEEN 1 AND 127)
);

CREATE TABLE river_client_queue (
    river_client_id    TEXT      NOT NULL REFERENCES river_client (id) ON DELETE CASCADE,
    name               TEXT      NOT NULL,
    created_at         TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    max_workers        INTEGER   NOT NULL DEFAULT 0,
    metadata           BLOB      NOT NULL DEFAULT (json('{}')),
    num_jobs_completed INTEGER   NOT NULL DEFAULT 0,
    num_jobs_running   INTEGER   NOT NULL DEFAULT 0,
    updated_at         TIMESTAMP NOT NULL,
    PRIMARY KEY (river_client_id, name),
    CONSTRAINT name_length CHECK (length(name) BETWEEN 1 AND 127),
    CONSTRAINT num_jobs_completed_zero_or_positive CHECK (num_jobs_completed >= 0),
    CONSTRAINT num_jobs_running_zero_or_positive CHECK (num_jobs_running >= 0)
);
