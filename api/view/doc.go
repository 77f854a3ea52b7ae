// Package view holds the JSON documents of the API: what clients read, and how it is made from the domain.
package view
