// Package web holds the pages that the service serves to browsers: the dashboard and the documentation.
package web
