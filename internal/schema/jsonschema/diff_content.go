package jsonschema

// properties compares what both sides name, and what only one does by the content model of the
// other: open takes anything, closed takes nothing, partially open takes what its schema takes.
func (x *context) properties(original, update *rule) {
	for _, name := range keysOf(original.obj.properties, update.obj.properties) {
		was, is := original.obj.properties[name], update.obj.properties[name]
		x.within(name, func(sub *context) {
			switch {
			case is == nil:
				sub.propertyRemoved(update, name, was)
			case was == nil:
				sub.propertyAdded(original, update, name, is)
			default:
				sub.compare(was, is)
			}
		})
	}
}

func (x *context) propertyRemoved(update *rule, name string, was *rule) {
	if update.openObject() {
		return
	}
	x.removed("PROPERTY", was, update.partialProperty(name))
}

// removed: a partially open model must take what was there; a closed one takes only what never was.
func (x *context) removed(what string, was, partial *rule) {
	switch {
	case partial != nil:
		if found := x.try(was, partial); len(found) > 0 {
			x.take(found)
			x.note(what + "_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL")
		}
	case was.kind != never:
		x.note(what + "_REMOVED_FROM_CLOSED_CONTENT_MODEL")
	}
}

func (x *context) propertyAdded(original, update *rule, name string, is *rule) {
	required, withDefault := update.obj.requires(name), is.deflt != nil
	if original.openObject() {
		switch {
		case is.kind.takesAll():
		case required && withDefault:
			x.note("REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL")
		case required:
			x.note("REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL")
		default:
			x.note("OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL")
		}
		return
	}
	x.addedTo("PROPERTY", original.partialProperty(name), is)
	if required && !withDefault {
		x.note("REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL")
	}
}

func (x *context) addedTo(what string, partial, is *rule) {
	if partial == nil {
		return
	}
	if found := x.try(partial, is); len(found) > 0 {
		x.take(found)
		x.note(what + "_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL")
	}
}

// partialProperty is what an object asks of a property that it does not name; nil when closed.
func (r *rule) partialProperty(name string) *rule {
	for _, p := range r.obj.patterns {
		if p.compile != nil && p.compile.MatchString(name) {
			return p.rule
		}
	}
	if r.obj.additional != nil {
		return r.obj.additional
	}
	if r.obj.closed {
		return nil
	}
	return partial(r.unevaluated("unevaluatedProperties"))
}

func partial(u *rule) *rule {
	if u == nil || u.kind == never || u.kind.takesAll() {
		return nil
	}
	return u
}

func (r *rule) partialItem() *rule {
	if r.arr.additional != nil {
		return r.arr.additional
	}
	if r.arr.closedToMore() {
		return nil
	}
	return partial(r.unevaluated("unevaluatedItems"))
}

func (x *context) arrays(original, update *rule) {
	o, u := original.arr, update.arr
	x.within("items", func(sub *context) {
		sub.compare(o.all, u.all)
	})
	x.items(original, update)
	x.within("additionalItems", func(sub *context) {
		sub.additional("ADDITIONAL_ITEMS", o.closedToMore(), u.closedToMore(), o.additional, u.additional)
	})
	x.unevaluated("unevaluatedItems", "UNEVALUATED_ITEMS", original, update)
	x.limit("maxItems", "MAX_ITEMS", whole(o.maxItems), whole(u.maxItems))
	x.limit("minItems", "MIN_ITEMS", whole(o.minItems), whole(u.minItems))
	switch {
	case o.unique == u.unique:
	case o.unique:
		x.noteAt("uniqueItems", "UNIQUE_ITEMS_REMOVED")
	default:
		x.noteAt("uniqueItems", "UNIQUE_ITEMS_ADDED")
	}
	x.limit("maxContains", "MAX_CONTAINS", original.count("maxContains"), update.count("maxContains"))
	x.limit("minContains", "MIN_CONTAINS", original.count("minContains"), update.count("minContains"))
}

// count reads a limit of contains, cut to a whole number as the registry does.
func (r *rule) count(keyword string) *float64 {
	v := r.extra[keyword].value
	if v == nil || v.Text == "" {
		return nil
	}
	return whole(wholeNumber(v))
}

func (x *context) items(original, update *rule) {
	was, is := original.arr.items, update.arr.items
	for i := range max(len(was), len(is)) {
		x.within("items/"+itoa(i), func(sub *context) {
			switch {
			case i >= len(is):
				if !update.openArray() {
					sub.removed("ITEM", was[i], update.partialItem())
				}
			case i >= len(was):
				switch {
				case !original.openArray():
					sub.addedTo("ITEM", original.partialItem(), is[i])
				case !is[i].kind.takesAll():
					sub.note("ITEM_ADDED_TO_OPEN_CONTENT_MODEL")
				}
			default:
				sub.compare(was[i], is[i])
			}
		})
	}
}
