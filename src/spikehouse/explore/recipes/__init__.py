"""What the views show, as code to export: a public function of a module here is a recipe."""
