package account

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// GORM would write the time of an update by itself, in seconds.
func TestUpdatesKeepTheirTime(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newShelf(t, db)
		a := s.add(t, "ada@example.com", nil)
		a.UpdatedAt = time.Date(2026, 11, 25, 12, 0, 0, 123_000_000, time.UTC)
		require.NoError(t, db.InTx(t.Context(), func(ctx context.Context) error { return s.repo.update(ctx, s.id, a) }))
		read, err := s.repo.ByID(t.Context(), s.id, a.ID)
		require.NoError(t, err)
		require.Equal(t, a.UpdatedAt, read.UpdatedAt)

		proof := a.UpdatedAt.Add(time.Millisecond)
		require.NoError(t, s.repo.Confirm(t.Context(), s.id, read, read.SecurityStamp, proof))
		read, err = s.repo.ByID(t.Context(), s.id, a.ID)
		require.NoError(t, err)
		require.Equal(t, proof, read.UpdatedAt)
		require.Equal(t, &proof, read.Confirmed)
	})
}
