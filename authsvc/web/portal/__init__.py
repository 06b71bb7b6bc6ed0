"""The vendor's portal: pages of HTML for people, made on the server. It calls :mod:`authsvc.manage` alone."""
