package portal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

func newService(db *database.DB) *Service {
	return NewService(Dependencies{Portals: NewRepository(db), Audit: audit.NewRecorder(db, time.Now), Now: time.Now})
}

func create(t *testing.T, s *Service, slug string, change ...func(*Settings)) *Portal {
	t.Helper()
	settings := good()
	for _, c := range change {
		c(&settings)
	}
	p, err := s.Create(t.Context(), slug, settings)
	require.NoError(t, err)
	return p
}

// names is a change of the name.
func names(to string) func(*Settings) error {
	return func(s *Settings) error { s.Name = to; return nil }
}

// age makes the cached portals older than they are.
func (s *Service) age(slug string, by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hit := s.cache[slug]
	s.cache[slug] = &cached{portal: hit.portal, readAt: hit.readAt.Add(-by)}
}

// A change of another instance is seen in time: at once where the cached portal is expired, by the next caller where it is
// stale.
func TestWhatAnotherInstanceChangedIsSeen(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, expiredAfter, 5*time.Second)
	require.Less(t, staleAfter, expiredAfter)
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		here, there := newService(db), newService(db)
		create(t, there, "acme")
		name := func() string {
			t.Helper()
			p, err := here.Find(t.Context(), "acme")
			require.NoError(t, err)
			return p.Name
		}
		require.Equal(t, "Acme", name())
		change := func(to string) {
			t.Helper()
			_, err := there.Update(t.Context(), "acme", names(to))
			require.NoError(t, err)
		}
		change("Fresh")
		require.Equal(t, "Acme", name(), "fresh")

		here.age("acme", staleAfter)
		require.Equal(t, "Acme", name(), "stale: nobody waits")
		require.Eventually(t, func() bool { return name() == "Fresh" }, 5*time.Second, time.Millisecond)

		change("Expired")
		here.age("acme", expiredAfter)
		require.Equal(t, "Expired", name())

		_, err := there.Retire(t.Context(), "acme")
		require.NoError(t, err)
		require.Equal(t, "Expired", name())
		here.age("acme", expiredAfter)
		_, err = here.Find(t.Context(), "acme")
		require.ErrorIs(t, err, fault.New(fault.OrganizationNotFound))
		require.Empty(t, here.cache)
	})
}

// A stale portal is still served while the database is away; an expired one is not.
func TestWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newService(db)
		create(t, s, "acme")
		_, err := s.Find(t.Context(), "acme")
		require.NoError(t, err)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		s.age("acme", staleAfter)
		_, err = s.Find(gone, "acme")
		require.NoError(t, err)
		s.age("acme", expiredAfter)
		_, err = s.Find(gone, "acme")
		require.ErrorIs(t, err, context.Canceled)
		_, err = s.Find(t.Context(), "acme") // a failure forgets nothing
		require.NoError(t, err)
	})
}

// A portal that was read before a change never replaces one that was read after it.
func TestAnOlderReadDoesNotWin(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newService(db)
		older := create(t, s, "acme")
		_, err := s.Update(t.Context(), "acme", names("Newer"))
		require.NoError(t, err)
		require.Less(t, older.version, s.cache["acme"].portal.version)
		require.NoError(t, db.From(t.Context()).Exec("UPDATE portals SET version = 1, settings = '{}'").Error) // as a slow reader saw it
		_, err = s.read(t.Context(), "acme")
		require.NoError(t, err)
		require.Equal(t, "Newer", s.cache["acme"].portal.Name)
	})
}

// Concurrent changes are all made, on any instance: none is lost.
func TestChangesAtOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		services := []*Service{newService(db), newService(db)}
		create(t, services[0], "acme")
		var all sync.WaitGroup
		errs := make([]error, updateTries) // as many as are sure to get through
		for i := range errs {
			all.Go(func() {
				_, errs[i] = services[i%2].Update(context.Background(), "acme", func(s *Settings) error {
					s.Domains = append(s.Domains, fmt.Sprintf("login%d.acme.example", i))
					return nil
				})
			})
		}
		all.Wait()
		require.NoError(t, errors.Join(errs...))
		p, err := services[0].repo.bySlug(t.Context(), "acme")
		require.NoError(t, err)
		slices.Sort(p.Domains)
		require.Equal(t, numbered("login%d.acme.example", updateTries), p.Domains)
		for _, domain := range p.Domains {
			found, err := services[1].EnabledByDomain(t.Context(), domain)
			require.NoError(t, err)
			require.Equal(t, p.ID, found.ID)
		}
	})
}

// A change that is refused, or that fails half-way, changes neither the portal nor the copies that others have.
func TestAChangeThatFails(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newService(db)
		create(t, s, "acme", func(s *Settings) { s.Domains, s.Origins = []string{"a.example"}, []string{"https://a.example"} })
		create(t, s, "other", func(s *Settings) { s.Domains = []string{"taken.example"} })
		before, err := s.Find(t.Context(), "acme")
		require.NoError(t, err)
		was := before.Clone()
		broken := errors.New("broken")
		for _, tt := range []struct {
			apply func(*Settings) error
			want  error
		}{
			{func(s *Settings) error { s.Domains[0], s.Origins[0] = "b.example", "x"; return broken }, broken},
			{func(s *Settings) error { s.Domains[0], s.RefreshGrace = "b.example", 0; return nil }, fault.Invalid()},
			{func(s *Settings) error { s.Domains = []string{"b.example", "taken.example"}; return nil }, fault.Invalid()},
			{func(s *Settings) error { s.Domains = []string{"TAKEN.example"}; return nil }, fault.Invalid()},
		} {
			_, err := s.Update(t.Context(), "acme", tt.apply)
			require.ErrorIs(t, err, tt.want)
			require.Equal(t, was, before.Settings)
			stored, err := s.repo.bySlug(t.Context(), "acme")
			require.NoError(t, err)
			require.Equal(t, was, stored.Settings)
			require.EqualValues(t, 1, stored.version)
		}
		_, err = s.EnabledByDomain(t.Context(), "A.Example")
		require.NoError(t, err)
		_, err = s.EnabledByDomain(t.Context(), "b.example")
		require.ErrorIs(t, err, fault.New(fault.OrganizationNotFound))
		_, err = s.Update(t.Context(), "nothing", names("x"))
		require.ErrorIs(t, err, fault.New(fault.OrganizationNotFound))
	})
}

// A setting that is missing in an older row has its default.
func TestSettingsThatAreNew(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newService(db)
		create(t, s, "acme")
		require.NoError(t, db.From(t.Context()).Exec(`UPDATE portals SET settings = '{"name": "Old", "lockout": {"threshold": 3}}'`).Error)
		p, err := s.Find(t.Context(), "acme")
		require.NoError(t, err)
		want := Defaults()
		want.Name, want.Lockout.Threshold = "Old", 3
		require.Equal(t, want, p.Settings)
	})
}

// A slug is never used again, and the error says so. Only administrators find a disabled portal.
func TestSlugsAndStates(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newService(db)
		create(t, s, "acme", func(s *Settings) { s.Enabled, s.Domains = false, []string{"a.example"} })
		_, err := s.Enabled(t.Context(), "acme")
		require.ErrorIs(t, err, fault.New(fault.OrganizationNotFound))
		_, err = s.EnabledByDomain(t.Context(), "a.example")
		require.ErrorIs(t, err, fault.New(fault.OrganizationNotFound))
		p, err := s.Find(t.Context(), "acme")
		require.NoError(t, err)
		byID, err := s.ByID(t.Context(), p.ID)
		require.NoError(t, err)
		require.Equal(t, p, byID)

		retired, err := s.Retire(t.Context(), "acme")
		require.NoError(t, err)
		require.Equal(t, p.ID, retired.ID)
		_, err = s.Retire(t.Context(), "acme")
		require.ErrorIs(t, err, fault.New(fault.OrganizationNotFound))
		_, err = s.ByID(t.Context(), p.ID)
		require.ErrorIs(t, err, fault.New(fault.OrganizationNotFound))
		var f *fault.Error
		_, err = s.Create(t.Context(), "acme", good())
		require.ErrorAs(t, err, &f)
		require.Equal(t, []fault.Field{{Pointer: "/slug", Code: fault.FieldTaken}}, f.Fields)
		create(t, s, "acme2", func(s *Settings) { s.Domains = []string{"a.example"} }) // a domain is free again
	})
}
