//go:build !linux

package databasetest

import "syscall"

func diesWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

func tellGoCommand(string) {}
