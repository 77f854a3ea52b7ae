// Package view has the JSON documents of the API, and builds them from the values of package occupancy.
package view
