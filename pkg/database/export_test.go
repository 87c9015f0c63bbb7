package database

// PortalTables lists the tables of portals' data, sorted: those that the guard watches over.
func PortalTables(d Dialect) []string { return guards[d]().Tables() }
