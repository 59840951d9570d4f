// This file lets others.go declare convertAssign without a body.
