package contract_test

import (
	"testing"

	"github.com/latchkey-auth/latchkey/api/apitest"
)

func TestMain(m *testing.M) { apitest.Main(m) }
