package database

import "gorm.io/gorm"

// Row reads one row: it is a *sql.Row or a *sql.Rows.
type Row interface{ Scan(...any) error }

// Collect reads every row of a query.
func Collect[T any](query *gorm.DB, scan func(Row) (T, error)) ([]T, error) {
	rows, err := query.Rows()
	if err != nil {
		return nil, Err(err)
	}
	defer func() { _ = rows.Close() }()
	all := []T{}
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, Err(err)
		}
		all = append(all, one)
	}
	return all, Err(rows.Err())
}

// One reads a row of a single column, for Collect.
func One[T any](row Row) (value T, err error) {
	err = row.Scan(&value)
	return value, err
}

// Changed returns ErrNotFound for a statement that changed no row. Errors: ErrNotFound.
func Changed(done *gorm.DB) error {
	if done.Error == nil && done.RowsAffected == 0 {
		return ErrNotFound
	}
	return Err(done.Error)
}
