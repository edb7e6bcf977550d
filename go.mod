module graid

go 1.26
