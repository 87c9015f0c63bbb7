package registration_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/admission"
	"github.com/latchkey-auth/latchkey/pkg/app/apptest"
	"github.com/latchkey-auth/latchkey/pkg/challenge"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/login"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/registration"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

const address = "grace@example.com"

// The passwords that the owner of the mailbox, and a stranger, choose.
const (
	ownersPassword    = apptest.GoodPassword
	strangersPassword = apptest.OtherPassword
)

func each(t *testing.T, run func(t *testing.T, app *apptest.App), change ...func(*portal.Settings)) {
	t.Helper()
	databasetest.Each(t, func(t *testing.T, db *database.DB) { run(t, apptest.New(t, db, change...)) })
}

func withoutConfirmation(s *portal.Settings) { s.RequireConfirmation = false }

// register registers the address with a password and a name.
func register(t *testing.T, app *apptest.App, secret, name string) (registration.Registered, error) {
	t.Helper()
	return app.Registration.Register(t.Context(), app.Portal, registration.New{
		Email: apptest.Address(t, address), Password: secret, GivenName: &name, FamilyName: &name, Locale: "en",
	})
}

// again registers the address after the cool-down.
func again(t *testing.T, app *apptest.App, secret, name string) {
	t.Helper()
	app.Clock.Advance(time.Minute)
	_, err := register(t, app, secret, name)
	require.NoError(t, err)
}

// newest is the newest confirmation token.
func newest(t *testing.T, app *apptest.App) challenge.Credential {
	t.Helper()
	return challenge.Credential{Token: app.Secret(t, onetime.Confirmation, address).Token}
}

func confirm(t *testing.T, app *apptest.App, c challenge.Credential, secret string) (registration.Confirmed, error) {
	t.Helper()
	return app.Registration.Confirm(t.Context(), app.Portal, c, secret)
}

// requireLogin wants a login with a password to be answered with a code; "" for success.
func requireLogin(t *testing.T, app *apptest.App, secret string, want fault.Code) {
	t.Helper()
	_, err := app.Login.WithPassword(t.Context(), app.Portal, login.Attempt{
		Email: apptest.Address(t, address), Password: secret, Transport: "token",
	})
	apptest.RequireCode(t, want, err)
}

func TestRegisterAndConfirm(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, app *apptest.App) {
		registered, err := register(t, app, ownersPassword, "Grace")
		require.NoError(t, err)
		require.Equal(t, admission.NextConfirmEmail, registered.Next)
		a := app.Stored(t, address)
		require.NotNil(t, a.UnverifiedSince)
		require.False(t, a.Contested())
		requireLogin(t, app, ownersPassword, fault.EmailNotConfirmed)

		token := newest(t, app)
		verified, err := app.Registration.Verify(t.Context(), app.Portal, token)
		require.NoError(t, err)
		require.Equal(t, address, verified.Email)
		confirmed, err := confirm(t, app, token, "")
		require.NoError(t, err)
		require.Equal(t, registration.Confirmed{Next: admission.NextPassword}, confirmed)
		requireLogin(t, app, ownersPassword, "")
		a = app.Stored(t, address)
		require.Nil(t, a.UnverifiedSince)
		require.Equal(t, "Grace", *a.GivenName)
		_, err = confirm(t, app, token, "")
		apptest.RequireCode(t, fault.TokenUsed, err)
	})
}

// Registering again shares the confirmation's cool-down, within which nothing is replaced.
func TestRegisterAgainWithinCoolDown(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, app *apptest.App) {
		_, err := register(t, app, ownersPassword, "Grace")
		require.NoError(t, err)
		before := app.Stored(t, address)
		app.Clock.Advance(time.Minute - time.Millisecond)
		_, err = register(t, app, strangersPassword, "Mallory")
		apptest.RequireCode(t, fault.ResendTooSoon, err)
		require.Equal(t, before, app.Stored(t, address))
	})
}

// Nobody is given a password that somebody else chose: a contested registration keeps its password only if the call that
// confirms it brings that password.
func TestConfirmContested(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		brings string
		keeps  bool
	}{
		"no password": {"", false}, "the owner's password": {ownersPassword, false}, "the last password": {strangersPassword, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, app *apptest.App) {
				_, err := register(t, app, ownersPassword, "Grace")
				require.NoError(t, err)
				older := newest(t, app)
				again(t, app, strangersPassword, "Mallory")
				require.True(t, app.Stored(t, address).Contested())

				for _, presented := range []func() error{
					func() error { _, err := app.Registration.Verify(t.Context(), app.Portal, older); return err },
					func() error { _, err := confirm(t, app, older, tt.brings); return err },
				} {
					var told *fault.Error
					require.ErrorAs(t, presented(), &told)
					require.Equal(t, fault.TokenSuperseded, told.Code)
					require.Equal(t, true, told.Members["contested"], "it does not say: use the newest")
				}
				confirmed, err := confirm(t, app, newest(t, app), tt.brings)
				require.NoError(t, err)
				a := app.Stored(t, address)
				require.NotNil(t, a.Confirmed)
				require.Nil(t, a.UnverifiedSince)
				require.Nil(t, a.ContestedSince)
				if tt.keeps {
					require.Equal(t, registration.Confirmed{Next: admission.NextPassword}, confirmed)
					requireLogin(t, app, strangersPassword, "")
					return
				}
				require.Equal(t, admission.NextSetPassword, confirmed.Next)
				require.NotNil(t, confirmed.Receipt)
				require.False(t, a.HasPassword())
				require.Nil(t, a.GivenName, "a stranger may have chosen the name")
				require.Nil(t, a.FamilyName)
				requireNotFoundBy(t, app, "Mallory")
				require.Equal(t, []delivery.Kind{delivery.Confirm, delivery.SetPassword}, app.Messages(t, a.ID))
				set := challenge.Credential{Token: app.Secret(t, onetime.Password, address).Token}
				require.NoError(t, app.PasswordResets.Redeem(t.Context(), app.Portal, set, ownersPassword))
				requireLogin(t, app, strangersPassword, fault.IncorrectCredentials)
				requireLogin(t, app, ownersPassword, "")
			})
		})
	}
}

// requireNotFoundBy wants the account to be found by none of its former names.
func requireNotFoundBy(t *testing.T, app *apptest.App, name string) {
	t.Helper()
	found, err := app.People.Search(t.Context(), app.Portal, name, ids.Account{}, 10)
	require.NoError(t, err)
	require.Empty(t, found)
	found, err = app.People.Search(t.Context(), app.Portal, address, ids.Account{}, 10)
	require.NoError(t, err)
	require.Len(t, found, 1)
}

// A registration is contested from the second one on, whoever made them, however often.
func TestContestedStaysContested(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, app *apptest.App) {
		_, err := register(t, app, strangersPassword, "Mallory")
		require.NoError(t, err)
		for range 3 {
			again(t, app, ownersPassword, "Grace")
			require.True(t, app.Stored(t, address).Contested())
		}
		app.Clock.Advance(time.Minute)
		_, err = app.Registration.IssueConfirmation(t.Context(), app.Portal, apptest.Address(t, address))
		require.NoError(t, err)
		require.True(t, app.Stored(t, address).Contested())
		confirmed, err := confirm(t, app, newest(t, app), ownersPassword)
		require.NoError(t, err)
		require.Equal(t, admission.NextPassword, confirmed.Next)
		requireLogin(t, app, ownersPassword, "")
	})
}

// A person who brings another password than that of the registration did not make it.
func TestConfirmWithAnotherPassword(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, app *apptest.App) {
		_, err := register(t, app, strangersPassword, "Mallory")
		require.NoError(t, err)
		confirmed, err := confirm(t, app, newest(t, app), ownersPassword)
		require.NoError(t, err)
		require.Equal(t, admission.NextSetPassword, confirmed.Next)
		require.False(t, app.Stored(t, address).HasPassword())
	})
}

// The link to set a password goes out although a stranger has used up every reset that may be asked for.
func TestSetPasswordMailIsNotHeldBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, app *apptest.App) {
		_, err := register(t, app, strangersPassword, "Mallory")
		require.NoError(t, err)
		again(t, app, strangersPassword, "Mallory")
		_, err = app.PasswordResets.Issue(t.Context(), app.Portal, apptest.Address(t, address))
		require.NoError(t, err)
		confirmed, err := confirm(t, app, newest(t, app), "")
		require.NoError(t, err)
		require.NotNil(t, confirmed.Receipt)
		set := challenge.Credential{Token: app.Secret(t, onetime.Password, address).Token}
		require.NoError(t, app.PasswordResets.Redeem(t.Context(), app.Portal, set, ownersPassword))
		requireLogin(t, app, ownersPassword, "")
	})
}

// A proof of the mailbox in another way leaves nothing that a stranger chose.
func TestResetDropsNames(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, app *apptest.App) {
		_, err := register(t, app, strangersPassword, "Mallory")
		require.NoError(t, err)
		_, err = app.PasswordResets.Issue(t.Context(), app.Portal, apptest.Address(t, address))
		require.NoError(t, err)
		reset := challenge.Credential{Token: app.Secret(t, onetime.Password, address).Token}
		require.NoError(t, app.PasswordResets.Redeem(t.Context(), app.Portal, reset, ownersPassword))
		a := app.Stored(t, address)
		require.Nil(t, a.GivenName)
		require.Nil(t, a.FamilyName)
		requireNotFoundBy(t, app, "Mallory")
		requireLogin(t, app, ownersPassword, "")

		// The names of an account are its owner's.
		name := "Grace"
		named := &name
		_, err = app.People.Change(t.Context(), app.Portal, a.ID, account.Changes{GivenName: &named})
		require.NoError(t, err)
		app.Clock.Advance(time.Minute)
		_, err = app.PasswordResets.Issue(t.Context(), app.Portal, apptest.Address(t, address))
		require.NoError(t, err)
		reset = challenge.Credential{Token: app.Secret(t, onetime.Password, address).Token}
		require.NoError(t, app.PasswordResets.Redeem(t.Context(), app.Portal, reset, strangersPassword))
		require.Equal(t, "Grace", *app.Stored(t, address).GivenName)
	})
}

// Where no confirmation is required, a registration is an account at once: nobody replaces it.
func TestRegisterWithoutConfirmation(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, app *apptest.App) {
		registered, err := register(t, app, ownersPassword, "Grace")
		require.NoError(t, err)
		require.Equal(t, admission.NextPassword, registered.Next)
		requireLogin(t, app, ownersPassword, "")
		before := app.Stored(t, address)
		require.Nil(t, before.UnverifiedSince)

		app.Clock.Advance(time.Minute)
		_, err = register(t, app, strangersPassword, "Mallory")
		apptest.RequireCode(t, fault.EmailAlreadyRegistered, err)
		require.Equal(t, before, app.Stored(t, address))
		app.Clock.Advance(60 * 24 * time.Hour)
		for _, task := range app.Tasks() {
			require.NoError(t, task.Run(t.Context()))
		}
		requireLogin(t, app, ownersPassword, "")
	}, withoutConfirmation)
}

// A portal that stops requiring confirmation makes accounts of its registrations.
func TestConfirmationNoLongerRequired(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, app *apptest.App) {
		_, err := register(t, app, ownersPassword, "Grace")
		require.NoError(t, err)
		app.Portal, err = app.Portals.Update(t.Context(), "acme", func(s *portal.Settings) error {
			s.RequireConfirmation = false
			return nil
		})
		require.NoError(t, err)
		requireLogin(t, app, ownersPassword, "")
		app.Clock.Advance(time.Minute)
		_, err = register(t, app, strangersPassword, "Mallory")
		apptest.RequireCode(t, fault.EmailAlreadyRegistered, err)
		require.Nil(t, app.Stored(t, address).UnverifiedSince)
		requireLogin(t, app, ownersPassword, "")
	})
}

// Of concurrent registrations of an address, on two instances, one is made, and one account.
func TestConcurrentRegistrations(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][]func(*portal.Settings){
		"confirmation": nil, "no confirmation": {withoutConfirmation},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, app *apptest.App) {
				instances := []*apptest.App{app, app.Instance(t, app.DB)}
				var all sync.WaitGroup
				errs := make([]error, 8)
				for i := range errs {
					all.Go(func() { _, errs[i] = register(t, instances[i%2], ownersPassword, "Grace") })
				}
				all.Wait()
				made := 0
				for _, err := range errs {
					var f *fault.Error
					if err == nil {
						made++
					} else if !errors.As(err, &f) || f.Code != fault.ResendTooSoon && f.Code != fault.EmailAlreadyRegistered {
						t.Errorf("unexpected: %v", err)
					}
				}
				require.Equal(t, 1, made)
				require.False(t, app.Stored(t, address).Contested())
			}, change...)
		})
	}
}
