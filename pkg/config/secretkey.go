package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// Ring reads the secret keys. With an embedded database and no LATCHKEY_SECRET_KEY the key is in a file next to
// the database, and is made when neither is there yet.
func (d Database) Ring() (*keyring.Ring, error) {
	if d.SecretKey != "" {
		return keyring.Parse(d.SecretKey)
	}
	path, embedded := d.EmbeddedPath()
	if !embedded {
		return nil, d.Check()
	}
	file := KeyFile(path)
	text, err := os.ReadFile(file) //nolint:gosec // the operator names the path
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makeKeyFile(path, file)
	}
	if err != nil {
		return nil, fmt.Errorf("secret key beside the database: %w", err)
	}
	ring, err := keyring.Parse(trim(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return ring, nil
}

// KeyFile is the path of the file with the secret key of an embedded database.
func KeyFile(database string) string { return database + ".key" }

// makeKeyFile writes a new key whole or not at all: several processes that start at once end up with one key.
func makeKeyFile(database, file string) ([]byte, error) {
	temporary, err := os.CreateTemp(filepath.Dir(file), ".latchkey-key-*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.WriteString(keyring.Generate() + "\n")
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(temporary.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("key of %s: %w", database, err)
	}
	return os.ReadFile(file) //nolint:gosec // the operator names the path
}
